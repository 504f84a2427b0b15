import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ed25519Verifier, encodeCheckpoint, LedgerError, openCheckpoint, parseCheckpoint } from '../src/index';
import { fixture } from './memory-log';

const { keys, signed } = fixture('note.json') as { keys: { vkey: string }[]; signed: { note: string; text: string }[] };
const verifiers = [ed25519Verifier(keys[0]!.vkey)];
const origin = 'claviger.example/ledger';
const root = Buffer.alloc(32, 7).toString('base64');

test('what is encoded is what is parsed', () => {
  const line = fc.string({ unit: 'grapheme', minLength: 1 });
  fc.assert(
    fc.property(line, fc.maxSafeNat(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (name, size, hash) => {
      const checkpoint = { origin: name, size, root: Buffer.from(hash) };
      expect(parseCheckpoint(encodeCheckpoint(checkpoint))).toEqual({ ...checkpoint, extensions: [] });
    }),
  );
});

test('the example of C2SP tlog-checkpoint parses, and extension lines are kept', () => {
  const text = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
  expect(parseCheckpoint(text)).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20_852_163, extensions: [] });
  expect(parseCheckpoint(`${text}more\n`).extensions).toEqual(['more']);
});

test('a checkpoint signed by Go opens under its origin only', () => {
  const { size, root: hash, verified } = openCheckpoint(signed[1]!.note, verifiers, origin);
  expect(encodeCheckpoint({ origin, size, root: hash })).toBe(signed[1]!.text);
  expect(verified).toEqual([expect.objectContaining({ name: origin })]);
  expect(() => openCheckpoint(signed[1]!.note, verifiers, 'other.example')).toThrow(
    expect.objectContaining({ code: 'ERR_CHECKPOINT_ORIGIN' }),
  );
});

test.each([
  '',
  '\n',
  'a\n1\n',
  `a\n1\n${root}`,
  `\n1\n${root}\n`,
  `a\n01\n${root}\n`,
  `a\n-1\n${root}\n`,
  `a\n1e3\n${root}\n`,
  `a\n9007199254740993\n${root}\n`,
  `a\n1\n${root.slice(0, -1)}\n`,
  `a\n1\n${root} \n`,
  `a\n1\nAAAA\n`,
  `a\n1\n${root}\n\n`,
  `a\r\n1\n${root}\n`,
])('%j is not a checkpoint', (text) => {
  expect(() => parseCheckpoint(text)).toThrow(expect.objectContaining({ code: 'ERR_CHECKPOINT_FORMAT' }));
});

test('hostile text throws the typed error only', () => {
  const pieces = fc.array(fc.constantFrom('\n', 'a', '1', root, '\u0000', '='), { maxLength: 10 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(pieces, fc.string({ unit: 'binary' })), (text) => {
      try {
        parseCheckpoint(text);
      } catch (error) {
        expect(error).toBeInstanceOf(LedgerError);
      }
    }),
  );
});
