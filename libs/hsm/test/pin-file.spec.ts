import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { readPin } from '../src/index';
import { caught } from './fresh-token';

const folder = mkdtempSync(join(tmpdir(), 'claviger-pin-'));
afterAll(() => rmSync(folder, { recursive: true }));
const pinFile = (name: string, text: string, mode: number) => {
  writeFileSync(join(folder, name), text, { mode });
  return join(folder, name);
};

test.each([
  ['ends with a line break', '1234 \n', '1234 '],
  ['ends with CRLF', '1234\r\n', '1234'],
  ['has none', '1234', '1234'],
])('a PIN is the text of its file, which %s', (name, text, pin) => {
  expect(readPin(pinFile(name, text, 0o600))).toBe(pin);
});

test.each([0o640, 0o604, 0o660])('a PIN file that others may open is refused, and its PIN not told', (mode) => {
  const error = caught(() => readPin(pinFile(`mode-${mode}`, 'do-not-tell', mode))) as Error;
  expect(error).toMatchObject({ code: 'HSM_CONFIGURATION' });
  expect(error.message).toContain('chmod 600');
  expect(error.message).not.toContain('do-not-tell');
});

test('a file that is missing or empty is refused', () => {
  expect(caught(() => readPin(join(folder, 'missing')))).toMatchObject({ code: 'HSM_CONFIGURATION' });
  expect(caught(() => readPin(pinFile('empty', '\n', 0o400)))).toMatchObject({ code: 'HSM_CONFIGURATION' });
});
