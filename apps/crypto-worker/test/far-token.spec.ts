import { createPublicKey, verify } from 'node:crypto';
import type { Algorithm, KeyView } from '@claviger/contracts';
import type { Distance } from '@claviger/hsm';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Config } from '../src/config';
import type { CryptoController } from '../src/crypto.controller';
import { CryptoBatchController } from '../src/crypto-batch.controller';
import { assertThreads, reachOf } from '../src/token-reach';
import { codeOf, resultOf, text } from './answers';
import { startWorker, type Worker } from './worker-under-test';

let w: Worker;
let caller: Awaited<ReturnType<Worker['caller']>>;
let one: CryptoController;
beforeAll(async () => {
  w = await startWorker({ distance: 'far' });
  one = w.one;
}, 120_000);
afterAll(() => w.stop());
beforeEach(async () => {
  caller = await w.caller();
});

const made = async (algorithm: Algorithm, more: Partial<KeyView> = {}) => w.put(await w.key(algorithm, more));
const context = { tenant: 'acme' };

test('every operation gives what it gives of a token that is near, and its record', async () => {
  const { keyId } = await made('AES_256');
  const { ciphertext = '' } = await resultOf(one.encrypt({ keyId, plaintext: text('hello'), context }, caller));
  expect(await resultOf(one.decrypt({ keyId, ciphertext, context }, caller))).toMatchObject({ plaintext: text('hello'), version: 1 });
  expect(await codeOf(one.decrypt({ keyId, ciphertext, context: { tenant: 'other' } }, caller))).toBe('ERR_DECRYPTION_FAILED');
  const broken = `${ciphertext.slice(0, -1)}${ciphertext.endsWith('A') ? 'Q' : 'A'}`;
  expect(await codeOf(one.decrypt({ keyId, ciphertext: broken, context }, caller))).toBe('ERR_DECRYPTION_FAILED');
  const moved = await resultOf(one.reEncrypt({ keyId, ciphertext, context, toContext: { tenant: 'new' } }, caller));
  const opened = await resultOf(one.decrypt({ keyId, ciphertext: moved.ciphertext as string, context: { tenant: 'new' } }, caller));
  expect(opened.plaintext).toBe(text('hello'));
  const dataKey = await resultOf(one.generateDataKey({ keyId, bytes: 32, withPlaintext: true }, caller));
  expect(await resultOf(one.decrypt({ keyId, ciphertext: dataKey.ciphertext as string }, caller))).toMatchObject({
    plaintext: dataKey.plaintext,
  });
  expect(await codeOf(one.encrypt({ keyId, plaintext: 'AAAA', dryRun: true }, caller))).toBe('ERR_DRY_RUN');

  for (const algorithm of ['EC_P256', 'ED25519', 'RSA_2048'] as const) {
    const key = await made(algorithm);
    const { pem } = await resultOf(one.getPublicKey({ keyId: key.keyId }, caller));
    const { signature = '' } = await resultOf(one.sign({ keyId: key.keyId, message: text('hello') }, caller));
    if (algorithm === 'ED25519')
      expect(verify(null, Buffer.from('hello'), createPublicKey(pem as string), Buffer.from(signature, 'base64url'))).toBe(true);
    const asked = { keyId: key.keyId, signature };
    expect(await resultOf(one.verify({ ...asked, message: text('hello') }, caller))).toMatchObject({ valid: true, version: 1 });
    expect(await resultOf(one.verify({ ...asked, message: text('hullo') }, caller))).toMatchObject({ valid: false });
  }
  const { keyId: macKey } = await made('HMAC_SHA_256');
  const { mac = '' } = await resultOf(one.generateMac({ keyId: macKey, message: text('hello') }, caller));
  expect(await resultOf(one.verifyMac({ keyId: macKey, message: text('hello'), mac }, caller))).toMatchObject({ valid: true });
  expect(await resultOf(one.verifyMac({ keyId: macKey, message: text('hullo'), mac }, caller))).toMatchObject({ valid: false });
  const records = await w.recordsOf(caller.session);
  expect(records.filter(({ outcome }) => outcome === 'success').length).toBe(21);
  expect(JSON.stringify(records)).not.toContain(text('hello'));
});

test('a batch of a hundred runs over all sessions at once, and each item has its own result', async () => {
  const { keyId } = await made('AES_256');
  const batch = new CryptoBatchController(one);
  const items = Array.from({ length: 100 }, (_, n) => ({ keyId, plaintext: text(`item ${n}`) }));
  const { results } = (await batch.encrypt({ type: 'claviger.request/1', items }, caller)).result as {
    results: { result: { ciphertext: string } }[];
  };
  expect(results).toHaveLength(100);
  const sealed = results.map(({ result }) => ({ keyId, ciphertext: result.ciphertext }));
  const opened = (await batch.decrypt({ type: 'claviger.request/1', items: sealed }, caller)).result as {
    results: { result: { plaintext: string } }[];
  };
  expect(opened.results.map(({ result }) => result.plaintext)).toEqual(items.map(({ plaintext }) => plaintext));
});

test('a key that changes while a call is away gives nothing; the caller may ask again', async () => {
  const key = await made('AES_256');
  const { keyId } = key;
  // More than there are sessions, so that some wait while the change comes.
  const asked = Array.from({ length: 40 }, () => codeOf(one.encrypt({ keyId, plaintext: 'AAAA' }, caller)));
  await w.put({ ...key, revision: 2, suspended: true, versions: [{ ...key.versions[0], state: 'suspended' } as never] });
  const codes = new Set(await Promise.all(asked));
  for (const code of codes) expect(['OK', 'ERR_CONFLICT', 'ERR_KEY_SUSPENDED']).toContain(code);
  expect(await codeOf(one.encrypt({ keyId, plaintext: 'AAAA' }, caller))).toBe('ERR_KEY_SUSPENDED');
  for (const { outcome, revisions } of await w.recordsOf(caller.session))
    if (outcome === 'success') expect(revisions).toMatchObject({ key: 1 });
});

const far = { HSM_SESSIONS: 16, HSM_ANSWER_SECONDS: 2 };

test('far tokens want a thread for each session of all of them together, and it is said which variable to set', () => {
  expect(reachOf('near', far)).toEqual({});
  expect(reachOf('far', far)).toEqual({ distance: 'far', asyncSessions: 16, answerMs: 2_000 });
  const threads = (UV_THREADPOOL_SIZE: string | undefined, distances: Distance[], sessions = 16) => {
    return () => assertThreads(distances, { ...far, HSM_SESSIONS: sessions }, { UV_THREADPOOL_SIZE });
  };
  expect(threads(undefined, ['near', 'near'])).not.toThrow();
  expect(threads('21', ['near', 'far'])).not.toThrow();
  expect(threads('55', ['far', 'near', 'far', 'far'])).not.toThrow();
  for (const given of [undefined, '20', 'many'])
    expect(threads(given, ['far'])).toThrow(/UV_THREADPOOL_SIZE: must be at least 21 for 1 far token/);
  expect(threads('54', ['far', 'far', 'far'])).toThrow(/UV_THREADPOOL_SIZE: must be at least 55 for 3 far tokens of 16 sessions/);
  // libuv would take the number and start 1,024 threads all the same.
  expect(threads('9999', Array(9).fill('far'), 112)).not.toThrow();
  expect(threads('9999', Array(9).fill('far'), 113)).toThrow(/HSM_SESSIONS: must be at most 112 for 9 far tokens/);
});

test('HSM_ANSWER_SECONDS says how long a call of a far token is waited for: 2 s when left out, whole seconds up to a minute', () => {
  const { HSM_ANSWER_SECONDS } = Config.shape;
  expect(HSM_ANSWER_SECONDS.parse(undefined)).toBe(2);
  expect(reachOf('far', { ...far, HSM_ANSWER_SECONDS: HSM_ANSWER_SECONDS.parse('5') })).toMatchObject({ answerMs: 5_000 });
  for (const wrong of ['0', '1.5', '61', 'long']) expect(HSM_ANSWER_SECONDS.safeParse(wrong).success).toBe(false);
});
