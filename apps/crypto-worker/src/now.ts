/** At once where the token is near, later where it is far. */
export type Now<T> = T | Promise<T>;

/** What follows a value: in the same turn of the event loop when it is there already. */
export const after = <T, R>(value: Now<T>, then: (value: T) => Now<R>): Now<R> =>
  value instanceof Promise ? value.then(then) : then(value);

/** Overwrites a secret once it was used, however that ends. */
export function spending<R>(secret: Buffer, use: (secret: Buffer) => Now<R>): Now<R> {
  let using: Now<R>;
  try {
    using = use(secret);
  } catch (error) {
    secret.fill(0);
    throw error;
  }
  if (using instanceof Promise) return using.finally(() => secret.fill(0));
  secret.fill(0);
  return using;
}

/** The first that fits, asked one after the other. */
export function firstThat<T>(candidates: readonly T[], fits: (candidate: T) => Now<boolean>): Now<T | undefined> {
  const [candidate, ...others] = candidates;
  if (candidate === undefined) return undefined;
  return after(fits(candidate), (found) => (found ? candidate : firstThat(others, fits)));
}
