import { createHash, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  ed25519KeyHash,
  ed25519Verifier,
  encodeVerifierKey,
  LedgerError,
  MAX_NOTE_BYTES,
  MAX_NOTE_SIGNATURES,
  type NoteSigner,
  parseVerifierKey,
  rawEd25519PublicKey,
  signNote,
  verifyNote,
} from '../src/index';
import { fixture, flipBit } from './memory-log';

type Key = { name: string; seedText: string; publicKey: string; keyHash: number; vkey: string };
type Signed = { text: string; signers: number[]; note: string };
type Opened = { name: string; note: string; accepted: boolean };

const vectors = fixture('note.json') as { keys: Key[]; signed: Signed[]; opened: Opened[]; vkeys: { vkey: string; accepted: boolean }[] };
const signers: NoteSigner[] = vectors.keys.map(({ name, keyHash, seedText }) => {
  const seed = createHash('sha256').update(seedText).digest();
  const key = createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
    format: 'der',
    type: 'pkcs8',
  });
  return { name, keyHash, sign: (text) => sign(null, text, key) };
});
const verifiers = vectors.keys.map(({ vkey }) => ed25519Verifier(vkey));
const [log, witness] = verifiers;
const good = vectors.signed[0]!;
const codeOf = (action: () => unknown): string => {
  try {
    action();
    return 'accepted';
  } catch (error) {
    if (error instanceof LedgerError) return error.code;
    throw error;
  }
};

test('verifier keys and key hashes are those of golang.org/x/mod/sumdb/note', () => {
  for (const { name, publicKey, keyHash, vkey } of vectors.keys) {
    const raw = Buffer.from(publicKey, 'hex');
    expect(ed25519KeyHash(name, raw)).toBe(keyHash);
    expect(encodeVerifierKey(name, raw)).toBe(vkey);
    expect(parseVerifierKey(vkey)).toEqual({ name, keyHash, publicKey: raw });
  }
});

test('signed notes are byte for byte those of note.Sign, and verify', async () => {
  for (const { text, signers: by, note } of vectors.signed) {
    expect(
      await signNote(
        text,
        by.map((at) => signers[at]!),
      ),
    ).toBe(note);
    const { text: signedText, verified, unknown } = verifyNote(Buffer.from(note), verifiers);
    expect(signedText).toBe(text);
    expect(verified.map(({ name }) => name)).toEqual(by.map((at) => vectors.keys[at]!.name));
    expect(unknown).toEqual([]);
  }
});

// Go passes over a repeated signature by a key that has signed already; here it must be good as well.
const stricterThanGo = ['good then flipped'];
test.each(vectors.opened)('verifyNote agrees with note.Open: $name', ({ name, note, accepted }) => {
  const verdict = codeOf(() => verifyNote(note, [log!, witness!]));
  expect(codeOf(() => verifyNote(Buffer.from(note), [log!, witness!]))).toBe(verdict);
  expect(verdict === 'accepted').toBe(accepted && !stricterThanGo.includes(name));
});

test('verifier key strings have one spelling; Go forgives a newline in base64', () => {
  for (const { vkey, accepted } of vectors.vkeys) {
    expect(codeOf(() => parseVerifierKey(vkey))).toBe(accepted && !vkey.endsWith('\n') ? 'accepted' : 'ERR_VKEY');
  }
});

test('each refusal has its own code', () => {
  const { text, note } = good;
  const [, signatureLine] = note.split('\n\n');
  expect(codeOf(() => verifyNote(note, [witness!]))).toBe('ERR_NOTE_UNTRUSTED');
  expect(codeOf(() => verifyNote(note.replace('66000', '66001'), [log!]))).toBe('ERR_NOTE_SIGNATURE');
  expect(codeOf(() => verifyNote(`${'x'.repeat(MAX_NOTE_BYTES)}\n`, [log!]))).toBe('ERR_NOTE_FORMAT');
  expect(codeOf(() => verifyNote(`${text}\n${signatureLine!.repeat(MAX_NOTE_SIGNATURES)}`, [log!]))).toBe('accepted');
  expect(codeOf(() => verifyNote(`${text}\n${signatureLine!.repeat(MAX_NOTE_SIGNATURES + 1)}`, [log!]))).toBe('ERR_NOTE_FORMAT');
  expect(codeOf(() => verifyNote(Buffer.concat([Buffer.from([0xff]), Buffer.from(note)]), [log!]))).toBe('ERR_NOTE_FORMAT');
});

test('no single changed bit of a note survives', () => {
  const bytes = Buffer.from(good.note);
  fc.assert(
    fc.property(fc.nat({ max: bytes.length * 8 - 1 }), (bit) => codeOf(() => verifyNote(flipBit(bytes, bit), [log!])) !== 'accepted'),
    { numRuns: 500 },
  );
});

test('hostile notes and verifier keys throw the typed error only', () => {
  const pieces = fc.constantFrom('\n', '\n\n', '— ', 'name', ' ', 'AAAAAAA=', good.note, '+', '\u0000', '\ud800', '\u00a0', '=');
  const hostile = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(hostile, (note) => codeOf(() => verifyNote(note, [])) !== 'accepted'),
    { numRuns: 500 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (note) => codeOf(() => verifyNote(note, [log!])) !== 'accepted'));
  fc.assert(fc.property(hostile, (vkey) => codeOf(() => parseVerifierKey(vkey)) === 'ERR_VKEY'));
});

test('a text that a note cannot hold, a bad name and no signer are refused; a signer that fails fails the note', async () => {
  for (const text of ['', 'no newline', 'tab\t\n', '\ud800\n'])
    await expect(signNote(text, signers)).rejects.toMatchObject({ code: 'ERR_NOTE_FORMAT' });
  await expect(signNote('a\n', [])).rejects.toMatchObject({ code: 'ERR_NOTE_FORMAT' });
  await expect(signNote('a\n', [{ ...signers[0]!, name: 'a b' }])).rejects.toMatchObject({ code: 'ERR_NOTE_FORMAT' });
  const down = new Error('token gone');
  await expect(signNote('a\n', [{ ...signers[0]!, sign: () => Promise.reject(down) }])).rejects.toBe(down);
});

test('the raw key out of an Ed25519 SPKI verifies what its private key signed', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = rawEd25519PublicKey(publicKey.export({ format: 'der', type: 'spki' }));
  const name = 'claviger.example/test';
  const note = await signNote('a\n', [{ name, keyHash: ed25519KeyHash(name, raw), sign: async (text) => sign(null, text, privateKey) }]);
  expect(verifyNote(note, [ed25519Verifier(encodeVerifierKey(name, raw))]).text).toBe('a\n');
  expect(() => rawEd25519PublicKey(raw)).toThrow(expect.objectContaining({ code: 'ERR_PUBLIC_KEY' }));
});
