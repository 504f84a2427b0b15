import { token } from './nesting';

/**
 * The texts of the policies in a text, as Cedar gives them when it is parsed: from the first token of each to the semicolon that ends it, which stands nowhere
 * else outside strings and comments. Whether one is a policy only Cedar can say. Undefined when something else follows the last.
 */
export function policyTexts(text: string): string[] | undefined {
  const texts: string[] = [];
  let from: number | undefined;
  let end = 0;
  for (const { 0: found, index } of text.matchAll(token)) {
    if (found.startsWith('//')) {
      from ??= begun(text, end, index);
      if (from === undefined) end = index + found.length;
      continue;
    }
    from ??= begun(text, end, index) ?? index;
    if (found !== ';') continue;
    end = index + 1;
    texts.push(text.slice(from, end));
    from = undefined;
  }
  return from === undefined && begun(text, end, text.length) === undefined ? texts : undefined;
}

/** Where anything but white space begins in a part of the text. What other white space Cedar knows is taken for a policy's: then it is unlike any that is known. */
function begun(text: string, from: number, to: number): number | undefined {
  const at = text.slice(from, to).search(/[^ \t\n\r]/);
  return at < 0 ? undefined : from + at;
}
