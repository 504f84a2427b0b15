import { createPublicKey, encapsulate, verify } from 'node:crypto';
import type { Algorithm, KeyView } from '@claviger/contracts';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { CryptoController } from '../src/crypto.controller';
import { bytes, codeOf, resultOf } from './answers';
import { onKryoptic, startWorker, type Worker } from './worker-under-test';

type PublicKey = { pem: string; jwk: Record<string, string> };
let w: Worker;
let caller: Awaited<ReturnType<Worker['caller']>>;
let one: CryptoController;
beforeAll(async () => {
  w = await startWorker();
  one = w.one;
}, 120_000);
afterAll(() => w.stop());
beforeEach(async () => {
  caller = await w.caller();
});

const made = async (algorithm: Algorithm, more: Partial<KeyView> = {}) => w.put(await w.key(algorithm, more));
const message = Buffer.from('a contract for the next thirty years').toString('base64url');

onKryoptic.each(['ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87', 'SLH_DSA_SHA2_128S'] as const)(
  '%s: the key stays in the token that can do it, and OpenSSL verifies what it signs',
  async (algorithm) => {
    const key = await made(algorithm);
    expect(key.versions[0]?.material).toMatchObject({ custody: 'token', family: 'kryoptic', token: w.tokens.further[0]?.label });
    const { keyId } = key;
    const { pem, jwk } = await resultOf<PublicKey>(one.getPublicKey({ keyId }, caller));
    const { signature = '', algorithm: scheme } = await resultOf(one.sign({ keyId, message }, caller) as never);
    expect([jwk.kty, jwk.alg, jwk.use]).toEqual(['AKP', scheme, 'sig']);
    expect(verify(null, bytes(message), createPublicKey(pem), bytes(signature))).toBe(true);
    expect(await resultOf(one.verify({ keyId, message, signature }, caller))).toMatchObject({ valid: true, version: 1 });
    expect(await resultOf(one.verify({ keyId, message: 'AAAA', signature }, caller))).toMatchObject({ valid: false });
    const mu = Buffer.alloc(64).toString('base64url');
    for (const digest of ['A'.repeat(43), mu]) expect(await codeOf(one.sign({ keyId, digest }, caller))).toBe('ERR_MALFORMED_REQUEST');
    if (algorithm.startsWith('ML')) await expect(one.sign({ keyId, digest: mu }, caller)).rejects.toThrow(/EXTERNAL_MU/);
    expect(await codeOf(one.sign({ keyId, message, dryRun: true }, caller))).toBe('ERR_DRY_RUN');
    const records = await w.recordsOf(caller.session);
    expect(records.map(({ action, outcome }) => [action, outcome])).toContainEqual(['crypto:Sign', 'success']);
  },
  60_000,
);

onKryoptic.each(['ML_KEM_768', 'ML_KEM_1024'] as const)('%s: who decapsulates has the secret of who encapsulated', async (algorithm) => {
  const { keyId } = await made(algorithm);
  const { pem, jwk } = await resultOf<PublicKey>(one.getPublicKey({ keyId }, caller));
  expect([jwk.alg, jwk.use]).toEqual([algorithm.replaceAll('_', '-'), 'enc']);
  const here = await resultOf(one.encapsulate({ keyId }, caller));
  const kemCiphertext = here.kemCiphertext as string;
  expect(await resultOf(one.decapsulate({ keyId, kemCiphertext, version: 1 }, caller))).toMatchObject({ sharedSecret: here.sharedSecret });
  const outside = encapsulate(createPublicKey(pem));
  const given = { keyId, kemCiphertext: Buffer.from(outside.ciphertext).toString('base64url'), version: 1 };
  expect(bytes((await resultOf(one.decapsulate(given, caller))).sharedSecret)).toEqual(Buffer.from(outside.sharedKey));

  expect(await codeOf(one.decapsulate({ ...given, kemCiphertext: 'AAAA' }, caller))).toBe('ERR_MALFORMED_REQUEST');
  expect(await codeOf(one.decapsulate({ ...given, version: 2 }, caller))).toBe('ERR_NOT_FOUND');
  expect(await codeOf(one.decapsulate({ ...given, dryRun: true }, caller))).toBe('ERR_DRY_RUN');
  expect(await codeOf(one.sign({ keyId, message }, caller))).toBe('ERR_KEY_USAGE');
  expect(JSON.stringify(await w.recordsOf(caller.session))).not.toContain(here.sharedSecret as string);
});

test('a worker without a token that can says so, and names the one it asked', async () => {
  const { label } = w.tokens.primary;
  const algorithm = 'ML_DSA_65';
  const alone = w.withTokens([w.tokens.primary]);
  const problem = await alone
    .generateKey({ type: 'claviger.request/1', algorithm, usage: 'sign', kekId: w.kekId, kek: w.kek })
    .catch((error: unknown) => error);
  expect(problem).toMatchObject({ code: 'ERR_ALGORITHM_UNAVAILABLE', message: expect.stringMatching(`${algorithm}.*${label}`) });
});
