import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runCommand, type TemporaryFolder, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

let dir: TemporaryFolder;
let number = 0;
beforeAll(async () => {
  dir = await temporaryFolder('tested-spec');
});
afterAll(() => dir.remove());

/** What tools/tested.mjs says of a tree of these files. */
async function check(...files: string[]) {
  const root = join(dir.path, `${number++}`);
  for (const path of files) {
    await mkdir(join(root, dirname(path)), { recursive: true });
    await writeFile(join(root, path), '');
  }
  const { code, stderr } = await runCommand(process.execPath, [join(workspaceRoot(), 'tools/tested.mjs'), '--root', root], {
    allowFailure: true,
  });
  return { code, stderr };
}
const project = (name: string) => [`${name}/project.json`, `${name}/jest.config.js`];

test('projects with a test each pass', async () => {
  const files = [...project('libs/a'), 'libs/a/test/a.spec.ts', ...project('apps/b'), 'apps/b/test/deep/b.spec.ts'];
  expect(await check(...files)).toMatchObject({ code: 0 });
});

test.each([
  ['no test folder', project('libs/a')],
  ['helpers but no test', [...project('libs/a'), 'libs/a/test/helper.ts']],
  ['a test that nothing runs', ['libs/a/project.json', 'libs/a/test/a.spec.ts']],
])('a project with %s fails, by name', async (_what, files) => {
  const { code, stderr } = await check(...files, ...project('apps/b'), 'apps/b/test/b.spec.ts');
  expect(code).toBe(1);
  expect(stderr).toMatch(/^libs\/a has no tests/);
  expect(stderr).not.toContain('apps/b');
});
