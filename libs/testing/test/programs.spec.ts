import { readFileSync, statSync, utimesSync } from 'node:fs';
import { builtProgram } from '@claviger/testing';
import { expect, test } from '@jest/globals';

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
