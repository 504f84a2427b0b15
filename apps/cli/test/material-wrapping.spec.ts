import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { importCommands, opensslCommands, shellWord } from '../src/material-wrapping';
import { wholeNumber } from '../src/pairs';

const algorithm = 'RSA_AES_KEY_WRAP_SHA_256';
const offered = { keyId: 'k_A', folder: "Eve's keys", algorithm } as const;

test('the printed command has what the import of that key needs, and all of it where nothing is known of the key', () => {
  const send = (about?: { algorithm: string; usage: string }) => importCommands(offered, about as never)[1];
  expect(send({ algorithm: 'AES_256', usage: 'encrypt' })).toMatch(/--prior-encryptions N --reason TEXT$/);
  expect(send({ algorithm: 'AES_256', usage: 'wrap' })).toMatch(/material\.wrapped --reason TEXT$/);
  expect(send({ algorithm: 'ED25519', usage: 'sign' })).toMatch(/material\.wrapped --public-key FILE --reason TEXT$/);
  expect(send()).toMatch(/--prior-encryptions N --public-key FILE --reason TEXT$/);
});

test('paths are printed as a shell reads them back, and what openssl writes is for the owner alone', () => {
  const commands = opensslCommands(algorithm, offered.folder);
  expect(commands[0]).toBe('umask 077');
  for (const text of [commands.join('\n'), ...importCommands(offered, undefined).slice(0, 2)]) expect(text).toContain("'Eve'\\''s keys/");
  expect(shellWord('import/import-token')).toBe('import/import-token');
  const word = fc.string({ unit: fc.constantFrom("'", '"', ' ', '$', '\\', '*', 'a', '\n', '`'), minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(word, (text) => {
      expect(spawnSync('sh', ['-c', `printf %s ${shellWord(text)}`], { encoding: 'utf8' }).stdout).toBe(text);
    }),
    { numRuns: 30 },
  );
});

test('as many encryptions as a key may have can be said of one that is imported', () => {
  expect(wholeNumber('--prior-encryptions', String(2 ** 32))).toBe(2 ** 32);
  expect(() => wholeNumber('--prior-encryptions', '12345678901')).toThrow('a whole number');
});
