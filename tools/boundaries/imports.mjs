import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const SOURCE = /\.(?:ts|tsx|mts|js|mjs)$/;
const COMMENTS = /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/[^\n]*/g;
const FROM = /^[ \t]*(import|export)\s+(type\s+)?([^'"`;]*?)\s*from\s*['"]([^'"]+)['"]/gm;
const BARE = /^[ \t]*import\s*['"]([^'"]+)['"]/gm;
const CALL = /\b(?:import|require)\s*\(\s*['"]([^'"]+)['"]/g;

/** `{ a, type B }` holds a value; `type X` in front of the braces, or on every name in them, leaves nothing at run time. */
const onlyTypes = (typeKeyword, names) => Boolean(typeKeyword) || /^\{(?:\s*type\s[^,}]*,?)+\s*\}$/.test(names.trim());

/** @returns {{ specifier: string, typeOnly: boolean }[]} */
export function importsIn(text) {
  const code = text.replace(COMMENTS, '');
  const found = [...code.matchAll(FROM)].map(([, , typeKeyword, names, specifier]) => ({
    specifier,
    typeOnly: onlyTypes(typeKeyword, names),
  }));
  for (const pattern of [BARE, CALL]) for (const [, specifier] of code.matchAll(pattern)) found.push({ specifier, typeOnly: false });
  return found;
}

/** All source files under a folder, as paths relative to `root`. */
function sourcesUnder(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && SOURCE.test(entry.name) && !entry.parentPath.includes('node_modules'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

/** The file a relative import means, relative to `root`, or the path itself when it does not exist (an import out of the project, say). */
function resolveRelative(root, file, specifier) {
  const path = join(dirname(file), specifier);
  return (
    [path, `${path}.ts`, `${path}/index.ts`, `${path}.mjs`].find(
      (candidate) => SOURCE.test(candidate) && existsSync(join(root, candidate)),
    ) ?? path
  );
}

/** @returns {Map<string, { specifier: string, typeOnly: boolean, target?: string }[]>} by file; `target`: the file of a relative import */
export function readImports(root) {
  const files = ['apps', 'libs', 'test', 'deploy'].flatMap((folder) => sourcesUnder(root, folder));
  return new Map(
    files.map((file) => [
      file,
      importsIn(readFileSync(join(root, file), 'utf8')).map((one) =>
        one.specifier.startsWith('.') ? { ...one, target: resolveRelative(root, file, one.specifier) } : one,
      ),
    ]),
  );
}
