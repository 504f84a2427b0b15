import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { runCommand, type TemporaryFolder, temporaryFolder, workspaceRoot } from '../src/index';

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder('kryoptic-setup');
});
afterAll(() => folder.remove());

/** What a function of the set-up gives, in a process with these variables. */
const asked = (name: 'kryopticFound' | 'libclang', env: Record<string, string>) => {
  const program = `const { ${name} } = await import('./tools/setup/kryoptic.mjs'); console.log(JSON.stringify(${name}()))`;
  return runCommand(process.execPath, ['--input-type=module', '-e', program], {
    ...{ cwd: workspaceRoot(), allowFailure: true },
    env: { PATH: process.env.PATH, ...env },
  });
};

test('LIBCLANG_PATH may name the library as well as its folder, and what is none is passed over', async () => {
  const llvm = join(folder.path, 'llvm');
  mkdirSync(llvm);
  const library = join(llvm, 'libclang-14.so.1');
  for (const file of [library, join(folder.path, 'libfoo.so')]) writeFileSync(file, '');
  for (const path of [llvm, library])
    expect(await asked('libclang', { LIBCLANG_PATH: path })).toMatchObject({ code: 0, stdout: `${JSON.stringify(path)}\n` });
  for (const path of [folder.path, join(folder.path, 'libfoo.so'), join(folder.path, 'nowhere')]) {
    const other = await asked('libclang', { LIBCLANG_PATH: path });
    expect([other.code, other.stdout.includes(folder.path)]).toEqual([0, false]);
  }
});

test('KRYOPTIC_LIBRARY that names no file stops the set-up, which would build in vain each time', async () => {
  const library = join(folder.path, 'libkryoptic_pkcs11.so');
  const missing = await asked('kryopticFound', { KRYOPTIC_LIBRARY: library });
  expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining(`KRYOPTIC_LIBRARY names ${library}, which is not there`)]);
  writeFileSync(library, '');
  expect((await asked('kryopticFound', { KRYOPTIC_LIBRARY: library })).stdout).toBe(`{"libraryPath":${JSON.stringify(library)}}\n`);
});
