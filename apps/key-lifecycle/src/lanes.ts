/** What is given to it is begun in order, and at most `count` of it at a time. */
export function lanes(count: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let free = count;
  return async (work) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      // The next one takes this one's lane over.
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}
