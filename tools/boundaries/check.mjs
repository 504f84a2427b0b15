import { isBuiltin } from 'node:module';
import { matchesGlob } from 'node:path';
import { APPS, IMPURE_LIBRARIES, LIBRARIES, NOT_IN_PURE, PURE } from './table.mjs';

const SCOPE = '@claviger/';
const allows = (patterns, name) =>
  patterns.some((pattern) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern || name.startsWith(`${pattern}/`),
  );

/** `apps/audit/src/x.ts` → { kind: 'apps', name: 'audit', part: 'src' } */
const place = (file) => {
  const [kind, name, part] = file.split('/');
  return { kind, name, part };
};
const projectOf = (file) => place(file).kind + (['apps', 'libs'].includes(place(file).kind) ? `/${place(file).name}` : '');
const libraryOf = ({ specifier }) => (specifier.startsWith(SCOPE) ? specifier.slice(SCOPE.length).split('/')[0] : undefined);

function checkLayer(file, one) {
  const { kind, name, part } = place(file);
  const library = libraryOf(one);
  const target = one.target && projectOf(one.target);
  if (target && target !== projectOf(file)) {
    if (target.startsWith('apps/')) return `imports ${one.target}: nothing imports an app`;
    if (target.startsWith('libs/')) return `imports ${one.target}: libraries have one door, ${SCOPE}${place(one.target).name}`;
    if (['src', 'test'].includes(part) && ['apps', 'libs'].includes(kind)) return `imports ${one.target}, out of its project`;
  }
  if (library && one.specifier !== SCOPE + library) return `imports ${one.specifier}: libraries have one door, ${SCOPE}${library}`;
  if (library && !(library in LIBRARIES)) return `imports ${one.specifier}, which is no library in tools/boundaries/table.mjs`;
  if (part !== 'src') return undefined;
  if (kind === 'apps') {
    if (!(name in APPS)) return 'belongs to no app in tools/boundaries/table.mjs';
    if (library && !APPS[name].includes(library)) return `imports ${one.specifier}: not for ${name}`;
  }
  if (kind === 'libs') {
    const entry = LIBRARIES[name];
    if (!entry) return 'belongs to no library in tools/boundaries/table.mjs';
    if (library) return allows(entry.libs, library) ? undefined : `imports ${one.specifier}: not for ${name}`;
    if (!one.target && !isBuiltin(one.specifier) && !allows(entry.packages, one.specifier))
      return `imports ${one.specifier}: not for ${name}`;
  }
  return undefined;
}

/** Why this import is impure, or undefined. In the pure file itself not even the types of Nest, MongoDB, NATS and PKCS#11 pass: they would shape its code. */
const impurity = (one, inPureFile) => {
  const library = libraryOf(one);
  if (one.typeOnly && (library || !inPureFile)) return undefined;
  if (library) return IMPURE_LIBRARIES.includes(library) ? one.specifier : undefined;
  return !one.target && allows(NOT_IN_PURE, one.specifier) ? one.specifier : undefined;
};

/** The way from a pure file to something impure, through the files of its own project, or undefined. */
function wayToImpure(file, imports, seen = new Set()) {
  if (seen.has(file)) return undefined;
  const first = seen.size === 0;
  seen.add(file);
  for (const one of imports.get(file) ?? []) {
    const impure = impurity(one, first);
    if (impure) return [impure];
    const further = one.target && !one.typeOnly && wayToImpure(one.target, imports, seen);
    if (further) return [one.target, ...further];
  }
  return undefined;
}

/**
 * @param {ReturnType<import('./imports.mjs').readImports>} imports
 * @param {{ source: string, target: string }[]} edges of nx's project graph, by project name
 * @returns {string[]} one line for each import that the table does not allow
 */
export function violations(imports, edges = []) {
  const lines = [];
  for (const [file, list] of imports) {
    for (const one of list) {
      const problem = checkLayer(file, one);
      if (problem) lines.push(`${file} ${problem}`);
    }
    if (!PURE.some((glob) => matchesGlob(file, glob))) continue;
    const way = wayToImpure(file, imports);
    if (way) lines.push(`${file} is a pure file and imports ${way.join(' → ')}`);
  }
  for (const { source, target } of edges)
    if (target in APPS && source !== target) lines.push(`project ${source} depends on the app ${target} (nx graph)`);
  return lines;
}
