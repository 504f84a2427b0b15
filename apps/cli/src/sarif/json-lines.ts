const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]|\n|[^\s"{}[\]:,]+/g;

/** The line, from 1, on which each value of a JSON text begins, by its JSON pointer (RFC 6901), down to so many names. The text is known to be JSON. */
export function linesOfJson(text: string, depth: number): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  const open: { at: string | number }[] = [];
  let line = 1;
  let isName = false;
  for (const [part] of text.matchAll(token)) {
    const inner = open.at(-1);
    if (part === '\n') line += 1;
    else if (part === ':') isName = false;
    else if (part === ',') {
      if (typeof inner?.at === 'number') inner.at += 1;
      else isName = true;
    } else if (part === '}' || part === ']') {
      open.pop();
      isName = false;
    } else if (isName && inner) inner.at = JSON.parse(part) as string;
    else {
      if (open.length <= depth) lines.set(open.map(({ at }) => `/${escaped(at)}`).join(''), line);
      if (part === '[') open.push({ at: 0 });
      if (part === '{') open.push({ at: '' });
      isName = part === '{';
    }
  }
  return lines;
}

const escaped = (at: string | number): string => String(at).replaceAll('~', '~0').replaceAll('/', '~1');
