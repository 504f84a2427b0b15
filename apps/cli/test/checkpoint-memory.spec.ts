import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TemporaryFolder, temporaryFolder } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { checkpointIn, defaultMemoryFile, remember } from '../src/checkpoint-memory';

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder('checkpoint-memory');
});
afterAll(() => folder.remove());

const note = 'claviger/test\n12\nAAAA\n\n— claviger/test BBBB\n';

test('a restore takes a checkpoint as a witness has it, and as the verification of the ledger remembers it', () => {
  const file = (name: string) => join(folder.path, name);
  writeFileSync(file('note'), note);
  expect(checkpointIn(file('note'))).toBe(note);
  remember(file('remembered'), { origin: 'claviger/test', size: 12, root: 'AAAA', note });
  expect(checkpointIn(file('remembered'))).toBe(note);
  writeFileSync(file('other'), '{"size": 12}');
  expect(() => checkpointIn(file('other'))).toThrow('holds no checkpoint');
  expect(() => checkpointIn(file('nowhere'))).toThrow('cannot be read (ENOENT)');
});

test('what is remembered lies in the folder that is said for it, else in the state folder of the user', () => {
  expect(defaultMemoryFile('claviger/a b', { CLAVIGER_STATE_DIR: '/dev-site/state', XDG_STATE_HOME: '/state' })).toBe(
    '/dev-site/state/checkpoint-claviger_a_b.json',
  );
  expect(defaultMemoryFile('claviger/a', { XDG_STATE_HOME: '/state' })).toBe('/state/claviger/checkpoint-claviger_a.json');
});
