// Every project of libs and apps has tests, or is listed below with the reason: Jest passes over a project without any in silence.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** `libs/x` → why it has no tests of its own. */
const WITHOUT_TESTS = new Map([]);

/** Projects that Jest is to run, and those that have nothing for it. */
export function projectsIn(root) {
  const all = ['libs', 'apps'].flatMap((folder) => {
    const place = join(root, folder);
    return existsSync(place) ? readdirSync(place).map((name) => `${folder}/${name}`) : [];
  });
  const projects = all.filter((project) => existsSync(join(root, project, 'project.json')) && !WITHOUT_TESTS.has(project));
  const isTested = (project) => existsSync(join(root, project, 'jest.config.js')) && hasSpec(join(root, project, 'test'));
  return { tested: projects.filter(isTested), untested: projects.filter((project) => !isTested(project)) };
}

const hasSpec = (folder) => existsSync(folder) && readdirSync(folder, { recursive: true }).some((name) => name.endsWith('.spec.ts'));

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const at = process.argv.indexOf('--root');
  const { tested, untested } = projectsIn(at === -1 ? join(import.meta.dirname, '..') : process.argv[at + 1]);
  for (const project of untested)
    process.stderr.write(`${project} has no tests: write some, or say in tools/tested.mjs why there are none\n`);
  if (untested.length === 0) process.stdout.write(`every project is tested (${tested.length})\n`);
  process.exitCode = untested.length === 0 ? 0 : 1;
}
