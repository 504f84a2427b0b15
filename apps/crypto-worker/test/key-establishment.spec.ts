import { createDecipheriv, createPublicKey, diffieHellman, generateKeyPairSync, randomBytes } from 'node:crypto';
import type { Algorithm, KeyView } from '@claviger/contracts';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { CryptoController } from '../src/crypto.controller';
import { CryptoBatchController } from '../src/crypto-batch.controller';
import { bytes, codeOf, resultOf, text } from './answers';
import { startWorker, type Worker } from './worker-under-test';

let w: Worker;
let caller: Awaited<ReturnType<Worker['caller']>>;
let one: CryptoController;
const type = 'claviger.request/1';
beforeAll(async () => {
  w = await startWorker();
  one = w.one;
}, 120_000);
afterAll(() => w.stop());
beforeEach(async () => {
  caller = await w.caller();
});

const made = async (algorithm: Algorithm, usage: KeyView['usage'], more: Partial<KeyView> = {}) =>
  w.put(await w.key(algorithm, { usage, ...more }));
const records = () => w.recordsOf(caller.session);

test.each([
  ['AES_128', 'A128KW'],
  ['AES_128', 'A128KWP'],
  ['AES_256', 'A256KW'],
  ['AES_256', 'A256KWP'],
] as const)('%s with %s: what is wrapped comes back, under an old version too, and the record tells no key', async (algorithm, name) => {
  const key = await made(algorithm, 'wrap');
  const { keyId } = key;
  const secret = randomBytes(32);
  const first = await resultOf(one.wrapKey({ keyId, plaintextKey: text(secret), algorithm: name }, caller));
  expect([first.algorithm, first.version, bytes(first.wrappedKey).length]).toEqual([name, 1, 40]);
  await w.put({ ...key, revision: 2, primaryVersion: 2, versions: [...key.versions, await w.version(2, algorithm)] });
  const second = await resultOf(one.wrapKey({ keyId, plaintextKey: text(secret), algorithm: name }, caller));
  expect(second.version).toBe(2);
  for (const { wrappedKey = '', version } of [first, second]) {
    const opened = await resultOf(one.unwrapKey({ keyId, wrappedKey, algorithm: name }, caller));
    expect([opened.version, bytes(opened.plaintextKey)]).toEqual([version, secret]);
  }
  const wrappedKey = first.wrappedKey as string;
  expect(await codeOf(one.unwrapKey({ keyId, wrappedKey, algorithm: name, version: 2 }, caller))).toBe('ERR_DECRYPTION_FAILED');
  const said = await records();
  expect(said.map(({ action, outcome, bytes: size }) => [action, outcome, size])).toEqual([
    ...Array(2).fill(['crypto:WrapKey', 'success', 32]),
    ...Array(2).fill(['crypto:UnwrapKey', 'success', 32]),
    ['crypto:UnwrapKey', 'failed', undefined],
  ]);
  expect(JSON.stringify(said)).not.toContain(text(secret));
});

test('RFC 5649 is what is done when no algorithm is named; a key that is for something else, or a wrong length, is refused', async () => {
  const { keyId } = await made('AES_256', 'wrap');
  const plaintextKey = text(randomBytes(16));
  expect(await resultOf(one.wrapKey({ keyId, plaintextKey }, caller))).toMatchObject({ algorithm: 'A256KWP' });
  expect(await codeOf(one.wrapKey({ keyId, plaintextKey, algorithm: 'A128KW' }, caller))).toBe('ERR_KEY_USAGE');
  expect(await codeOf(one.wrapKey({ keyId, plaintextKey: text(randomBytes(8)), algorithm: 'A256KW' }, caller))).toBe(
    'ERR_MALFORMED_REQUEST',
  );
  // SoftHSM would wrap it as one of 24 bytes.
  expect(await codeOf(one.wrapKey({ keyId, plaintextKey: text(randomBytes(20)) }, caller))).toBe('ERR_ALGORITHM_UNAVAILABLE');
  expect(await codeOf(one.wrapKey({ keyId, plaintextKey, dryRun: true }, caller))).toBe('ERR_DRY_RUN');
  expect(await codeOf(one.encrypt({ keyId, plaintext: plaintextKey }, caller))).toBe('ERR_KEY_USAGE');
  const encrypting = await made('AES_256', 'encrypt');
  expect(await codeOf(one.wrapKey({ keyId: encrypting.keyId, plaintextKey }, caller))).toBe('ERR_KEY_USAGE');
  expect(await codeOf(one.unwrapKey({ keyId: encrypting.keyId, wrappedKey: text(randomBytes(24)) }, caller))).toBe('ERR_KEY_USAGE');
});

test('whatever is wrong with a wrapped key, the answer is one', async () => {
  const { keyId } = await made('AES_256', 'wrap');
  const { wrappedKey = '' } = await resultOf(one.wrapKey({ keyId, plaintextKey: text(randomBytes(16)) }, caller));
  const flipped = bytes(wrappedKey);
  flipped[3]! ^= 1;
  const other = await made('AES_256', 'wrap');
  const codes = await Promise.all([
    codeOf(one.unwrapKey({ keyId, wrappedKey: text(flipped) }, caller)),
    codeOf(one.unwrapKey({ keyId, wrappedKey, algorithm: 'A256KW' }, caller)),
    codeOf(one.unwrapKey({ keyId: other.keyId, wrappedKey }, caller)),
    codeOf(one.unwrapKey({ keyId, wrappedKey: '' }, caller)),
    codeOf(one.unwrapKey({ keyId, wrappedKey: text(randomBytes(37)) }, caller)),
  ]);
  expect(new Set(codes)).toEqual(new Set(['ERR_DECRYPTION_FAILED']));
});

test('what is wrapped opens outside with the same key: an agreed secret as KEK, as JOSE does it', async () => {
  // The worker never gives out its key, so the outside takes the other way round: it unwraps what it wrapped under what both derived.
  const key = await made('EC_P256', 'agree');
  const { keyId } = key;
  const { publicKeySpki = '' } = await resultOf(one.getPublicKey({ keyId }, caller));
  const other = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const asked = { keyId, publicKeySpki: text(other.publicKey.export({ format: 'der', type: 'spki' })) };
  const { sharedSecret, version } = await resultOf(one.deriveSharedSecret(asked, caller));
  const ours = createPublicKey({ key: bytes(publicKeySpki), format: 'der', type: 'spki' });
  expect(bytes(sharedSecret)).toEqual(diffieHellman({ privateKey: other.privateKey, publicKey: ours }));
  expect(version).toBe(1);
  const kek = w.token.importKnownSecret('AES_256', bytes(sharedSecret), 'wrap');
  const content = randomBytes(32);
  const decipher = createDecipheriv('id-aes256-wrap', bytes(sharedSecret), Buffer.from('a6a6a6a6a6a6a6a6', 'hex'));
  expect(Buffer.concat([decipher.update(w.token.wrapValue(kek, 'KW', content)), decipher.final()])).toEqual(content);
  expect(JSON.stringify(await records())).not.toContain(sharedSecret as string);
});

test.each(['EC_P256', 'EC_P384', 'EC_P521'] as const)('%s: agrees, says so in its JWK, and signs nothing', async (algorithm) => {
  const { keyId } = await made(algorithm, 'agree');
  const { jwk, signatureAlgorithms, publicKeySpki } = await resultOf<Record<string, unknown>>(one.getPublicKey({ keyId }, caller));
  expect([(jwk as { use: string; alg: string }).use, (jwk as { alg: string }).alg, signatureAlgorithms]).toEqual(['enc', 'ECDH-ES', []]);
  const self = { keyId, publicKeySpki: publicKeySpki as string };
  expect(await codeOf(one.deriveSharedSecret(self, caller))).toBe('OK');
  expect(await codeOf(one.deriveSharedSecret({ ...self, dryRun: true }, caller))).toBe('ERR_DRY_RUN');
  expect(await codeOf(one.sign({ keyId, message: 'AA' }, caller))).toBe('ERR_KEY_USAGE');
  const spki = bytes(publicKeySpki as string);
  spki[spki.length - 1]! ^= 1;
  for (const wrong of [spki, Buffer.alloc(0), randomBytes(91)])
    expect(await codeOf(one.deriveSharedSecret({ keyId, publicKeySpki: text(wrong) }, caller))).toBe('ERR_MALFORMED_REQUEST');
  const signing = await made(algorithm, 'sign');
  expect(await codeOf(one.deriveSharedSecret({ ...self, keyId: signing.keyId }, caller))).toBe('ERR_KEY_USAGE');
});

test('a batch: each item has its own answer', async () => {
  const { keyId } = await made('AES_256', 'wrap');
  const many = new CryptoBatchController(one);
  const good = { keyId, plaintextKey: text(randomBytes(16)) };
  const items = [good, { ...good, keyId: `k_${'A'.repeat(22)}` }, { ...good, algorithm: 'A128KW' as const }];
  const { results } = await resultOf<{ results: { result?: { wrappedKey: string }; problem?: { code: string } }[] }>(
    many.wrapKey({ type, items }, caller),
  );
  expect(results.map(({ result, problem }) => problem?.code ?? typeof result?.wrappedKey)).toEqual([
    'string',
    'ERR_KEY_UNKNOWN',
    'ERR_KEY_USAGE',
  ]);
  const wrappedKey = results[0]?.result?.wrappedKey as string;
  const back = await resultOf<{ results: { result?: { plaintextKey: string } }[] }>(
    many.unwrapKey({ type, items: [{ keyId, wrappedKey }] }, caller),
  );
  expect(back.results[0]?.result?.plaintextKey).toBe(good.plaintextKey);
});
