import { cpSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtProgram, temporaryFolder, until } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import { newestIn } from '../src/programs';

test('a program is built where a source is newer, and else left as it is', async () => {
  const entry = 'libs/testing/test/programs/parent.ts';
  const file = await builtProgram(entry);
  const built = statSync(file).mtimeMs;
  await builtProgram(entry);
  expect(statSync(file).mtimeMs).toBe(built);
  const before = new Date(statSync('tools/build.mjs').mtimeMs - 1_000);
  utimesSync(file, before, before);
  expect(await builtProgram(entry)).toBe(file);
  expect(statSync(file).mtimeMs).toBeGreaterThanOrEqual(built);
  expect(readFileSync(file, 'utf8')).toContain('startChild');
});

test('a source that was copied over another one with its old times is newer', async () => {
  const folder = await temporaryFolder('programs-spec');
  try {
    const [old, source] = [join(folder.path, 'old'), join(folder.path, 'source')];
    writeFileSync(old, 'as it was');
    utimesSync(old, 1_000_000, 1_000_000);
    writeFileSync(source, 'as it is');
    const built = newestIn(source);
    await until(() => Date.now() > built + 20, { what: 'the clock of the file system to go on' });
    cpSync(old, source, { preserveTimestamps: true });
    expect(statSync(source).mtimeMs).toBe(1_000_000_000);
    expect(newestIn(source)).toBeGreaterThan(built);
  } finally {
    await folder.remove();
  }
});
