import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CompactEncrypt, compactDecrypt } from 'jose';
import { nextIv } from '../src/iv';
import { contextDigest, keyIdIn, protectedHeader, readJwe, writeJwe } from '../src/jwe';

const keyId = `k_${'A'.repeat(22)}`;
const key = Buffer.alloc(32, 7);
const enc = 'A256GCM';

/** A256GCM as the token does it: ciphertext ‖ tag. */
function seal(header: string, plaintext: Buffer, iv = nextIv(), secret = key): Buffer {
  const cipher = createCipheriv('aes-256-gcm', secret, iv);
  cipher.setAAD(Buffer.from(header, 'latin1'));
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}
const encrypt = (plaintext: Buffer, context?: Record<string, string>, version = 1): string => {
  const header = protectedHeader(keyId, version, enc, contextDigest(context));
  const iv = nextIv();
  return writeJwe(header, iv, seal(header, plaintext, iv));
};
const open = ({ header, iv, sealed }: NonNullable<ReturnType<typeof readJwe>>): Buffer => {
  const decipher = createDecipheriv('aes-256-gcm', key, iv);
  decipher.setAAD(Buffer.from(header, 'latin1'));
  decipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
};

test('whoever holds the key opens it with a JOSE library', async () => {
  const { plaintext, protectedHeader: header } = await compactDecrypt(encrypt(Buffer.from('the plaintext'), { tenant: 'acme' }, 3), key);
  expect(Buffer.from(plaintext).toString()).toBe('the plaintext');
  expect(header).toEqual({ alg: 'dir', enc: 'A256GCM', kid: `${keyId}#3`, ctx: contextDigest({ tenant: 'acme' }) });
});

test('which key a ciphertext names is read from its header, and from nothing else', () => {
  expect(keyIdIn(encrypt(Buffer.from('x'), { tenant: 'acme' }))).toBe(keyId);
  expect(keyIdIn(`${Buffer.from('{"kid":"k_<script>#1"}').toString('base64url')}....`)).toBeUndefined();
  fc.assert(
    fc.property(
      fc.string({ maxLength: 2_000 }),
      (text) => keyIdIn(text) === undefined || /^k_[A-Za-z0-9]{22}$/.test(keyIdIn(text) as string),
    ),
  );
});

test('what a JOSE library wrote with the same header is read', async () => {
  const jwe = await new CompactEncrypt(Buffer.from('from elsewhere'))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: `${keyId}#2` })
    .encrypt(key);
  const parts = readJwe(jwe, keyId, enc, undefined);
  expect(parts?.version).toBe(2);
  expect(open(parts as NonNullable<typeof parts>).toString()).toBe('from elsewhere');
});

test('golden vector: header, context digest and serialization are these bytes, for ever', () => {
  const iv = Buffer.from('000102030405060708090a0b', 'hex');
  const header = protectedHeader(keyId, 3, enc, contextDigest({ zone: 'ü', tenant: 'acme' }));
  expect(writeJwe(header, iv, seal(header, Buffer.from('the plaintext'), iv))).toBe(
    'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoia19BQUFBQUFBQUFBQUFBQUFBQUFBQUFBIzMiLCJjdHgiOiI5VWxJWklEcGlEc0JqOGpyZ1hPanZCdFJmeVZJX3pWYXNRRWVWTEdSM0xFIn0..AAECAwQFBgcICQoL.bOmMUG1luCAZxoDklg.rxch89fuO_dYRKGUN0oBZQ',
  );
});

test('golden vector: the digest of a context is that of its canonical form (RFC 8785)', () => {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url');
  expect(contextDigest({ b: '2', a: '1', é: 'x' })).toBe(sha256('{"a":"1","b":"2","é":"x"}'));
  expect(contextDigest({})).toBe(sha256('{}'));
  expect(contextDigest(undefined)).toBeUndefined();
});

test('writing and reading are inverse, for every length and context', () => {
  const context = fc.option(fc.dictionary(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,8}$/), fc.string({ maxLength: 12 })), {
    nil: undefined,
  });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), context, fc.integer({ min: 1, max: 1_000 }), (bytes, given, version) => {
      const parts = readJwe(encrypt(Buffer.from(bytes), given, version), keyId, enc, contextDigest(given));
      expect(parts?.version).toBe(version);
      expect(open(parts as NonNullable<typeof parts>)).toEqual(Buffer.from(bytes));
    }),
  );
});

const b64u = (json: string) => Buffer.from(json).toString('base64url');
const good = encrypt(Buffer.from('x'), { tenant: 'acme' });
const [head, , iv, ciphertext, tag] = good.split('.') as [string, string, string, string, string];
const digest = contextDigest({ tenant: 'acme' }) as string;
const withHeader = (json: string) => `${b64u(json)}..${iv}.${ciphertext}.${tag}`;

test.each([
  ['another key', good, `k_${'B'.repeat(22)}`, digest],
  ['another context', good, keyId, contextDigest({ tenant: 'other' })],
  ['no context', good, keyId, undefined],
  ['a context that it was not made with', encrypt(Buffer.from('x')), keyId, digest],
  ['another alg', withHeader(`{"alg":"A256KW","enc":"A256GCM","kid":"${keyId}#1","ctx":"${digest}"}`), keyId, digest],
  ['another enc', withHeader(`{"alg":"dir","enc":"A128GCM","kid":"${keyId}#1","ctx":"${digest}"}`), keyId, digest],
  ['compression', withHeader(`{"alg":"dir","enc":"A256GCM","kid":"${keyId}#1","ctx":"${digest}","zip":"DEF"}`), keyId, digest],
  ['a critical extension', withHeader(`{"alg":"dir","enc":"A256GCM","kid":"${keyId}#1","ctx":"${digest}","crit":["x"]}`), keyId, digest],
  ['members in another order', withHeader(`{"enc":"A256GCM","alg":"dir","kid":"${keyId}#1","ctx":"${digest}"}`), keyId, digest],
  ['a space', withHeader(`{"alg":"dir", "enc":"A256GCM","kid":"${keyId}#1","ctx":"${digest}"}`), keyId, digest],
  ['a kid twice', withHeader(`{"alg":"dir","enc":"A256GCM","kid":"${keyId}#1","kid":"${keyId}#2","ctx":"${digest}"}`), keyId, digest],
  ['version 0', withHeader(`{"alg":"dir","enc":"A256GCM","kid":"${keyId}#0","ctx":"${digest}"}`), keyId, digest],
  ['version 01', withHeader(`{"alg":"dir","enc":"A256GCM","kid":"${keyId}#01","ctx":"${digest}"}`), keyId, digest],
  ['a version without end', withHeader(`{"alg":"dir","enc":"A256GCM","kid":"${keyId}#99999999999","ctx":"${digest}"}`), keyId, digest],
  ['padding', `${head}=..${iv}.${ciphertext}.${tag}`, keyId, digest],
  ['an encrypted key', `${head}.AAAA.${iv}.${ciphertext}.${tag}`, keyId, digest],
  ['a part too few', `${head}..${iv}.${ciphertext}`, keyId, digest],
  ['a part too many', `${good}.x`, keyId, digest],
  ['nothing', '', keyId, digest],
  ['a header that is no JSON', `AAAA..${iv}.${ciphertext}.${tag}`, keyId, digest],
])('%s: not a ciphertext of this key and context', (_what, jwe, id, context) => {
  expect(readJwe(jwe, id, enc, context)).toBeUndefined();
});

test('no two IVs are the same, and none changes after it was given', () => {
  const given = Array.from({ length: 20_000 }, () => nextIv());
  const texts = given.map((one) => one.toString('hex'));
  expect(new Set(texts).size).toBe(given.length);
  expect(given.every((one) => one.length === 12)).toBe(true);
  for (let n = 0; n < 3_000; n++) nextIv();
  expect(given.map((one) => one.toString('hex'))).toEqual(texts);
  expect(texts).not.toContain('0'.repeat(24));
  expect(randomBytes(12)).not.toEqual(given[0]);
});
