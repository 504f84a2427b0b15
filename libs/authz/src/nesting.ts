/**
 * Cedar's WebAssembly parser and evaluator recurse on a fixed stack, and an overflow corrupts the whole module: every later call fails until
 * the process restarts. Measured with 4.13: about 150 nested brackets break the parser, about 300 chained operators the evaluator. So text is
 * bounded before Cedar sees it.
 */
const maxDepth = 32;
const maxOperatorsPerPolicy = 200;

/** Cedar's own tokens, as far as depth is concerned; strings and comments are one each. A lone CR ends a comment, as in Cedar. */
export const token = /"(?:[^"\\]|\\.)*"?|\/\/[^\n\r]*|&&|\|\||\bif\b|[()[\]{}<>;.+*!-]/gs;

/** What is too deep, in words for the author; undefined when nothing is. */
export function tooDeep(text: string, language: 'policies' | 'schema'): string | undefined {
  let depth = 0;
  let operators = 0;
  for (const match of text.matchAll(token)) {
    const [found] = match;
    if (found.startsWith('"') || found.startsWith('//')) continue;
    const line = () => text.slice(0, match.index).split('\n').length;
    if ('([{'.includes(found) || (found === '<' && language === 'schema')) depth += 1;
    if (')]}'.includes(found) || (found === '>' && language === 'schema')) depth -= 1;
    if (depth > maxDepth) return `line ${line()}: brackets are nested more than ${maxDepth} deep`;
    if (language === 'schema') continue;
    if (found === ';') operators = 0;
    else if (!'()]{}<>'.includes(found)) operators += 1;
    if (operators > maxOperatorsPerPolicy) return `line ${line()}: one policy has more than ${maxOperatorsPerPolicy} operators; split it`;
  }
  return undefined;
}
