import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type KeyHandle, probe, probeAsync, Token } from '../src/index';
import { caught, freshToken } from './fresh-token';

const asyncSessions = 2;
const iv = Buffer.alloc(12, 1);
const aad = Buffer.from('context');
const plaintext = Buffer.from('sealed behind a network');
const digest = createHash('sha256').update(plaintext).digest();

let token: Token;
let key: KeyHandle;
let batchKey: KeyHandle;
beforeEach(() => {
  token = Token.open({ ...freshToken(), distance: 'far', asyncSessions, answerMs: 200 });
  token.createCanary();
  token.generateRootKey('root');
  const wrappingKey = token.findTokenKey('root', 'secret');
  const made = token.generateWrapped({ algorithm: 'AES_256', wrappingKey });
  key = token.unwrap({ ...made, algorithm: 'AES_256', wrappingKey, usage: 'encrypt' });
  batchKey = token.generateSessionKeyPair('EC_P256').privateKey;
});
afterEach(() => token.close());

const p11 = () => Token.connectionOf(token).p11;
const outcome = (call: unknown) =>
  Promise.resolve(call).then(
    () => 'fine',
    (error: { code?: string }) => error.code,
  );
const encrypts = () => token.use.encryptGcm(() => key, iv, aad, plaintext);
const signsBatch = () => token.signDigestAsync(() => batchKey, 'ES256', digest, { urgent: true });

/** The token answers no encryption until it is told to. */
function hangEncryptions() {
  const native = p11().C_EncryptAsync;
  const { promise, resolve: release } = Promise.withResolvers<void>();
  let begun = 0;
  p11().C_EncryptAsync = async (...args) => {
    begun++;
    await promise;
    return native.apply(p11(), args);
  };
  return {
    begun: () => begun,
    release: () => {
      p11().C_EncryptAsync = native;
      release();
    },
  };
}

test('calls that the token does not answer are given up, those that wait behind them never begin, and all is well once they end', async () => {
  const hanging = hangEncryptions();
  const codes = await Promise.all(Array.from({ length: 5 }, () => outcome(encrypts())));
  expect(codes).toEqual(['HSM_UNAVAILABLE', 'HSM_UNAVAILABLE', 'HSM_CAPACITY', 'HSM_CAPACITY', 'HSM_CAPACITY']);
  const idle = new Set(Token.connectionOf(token).ready().asynchronous.idle);
  hanging.release();
  while (token.hanging > 0) await new Promise((resolve) => setImmediate(resolve));
  expect(hanging.begun()).toBe(asyncSessions);
  expect(await Promise.all(Array.from({ length: 5 }, () => outcome(encrypts())))).toEqual(Array(5).fill('fine'));
  expect(Token.connectionOf(token).ready().asynchronous.idle).toHaveLength(idle.size + asyncSessions);
});

test('an urgent call has a session of its own, also while all others hang', async () => {
  const hanging = hangEncryptions();
  const pending = [encrypts(), encrypts(), encrypts()].map(outcome);
  expect(await outcome(signsBatch())).toBe('fine');
  hanging.release();
  expect(await Promise.all(pending)).toEqual(['fine', 'fine', 'fine']);
});

test('while calls hang the token is not asked on the event loop, which would hang with them: it is not well', async () => {
  const hanging = hangEncryptions();
  const native = p11().C_Encrypt;
  p11().C_Encrypt = () => {
    throw new Error('it would hang');
  };
  expect(await outcome(encrypts())).toBe('HSM_UNAVAILABLE');
  expect(caught(() => probe(token))).toMatchObject({ code: 'HSM_UNAVAILABLE', what: `Token ${token.label} has not answered 1 calls yet` });
  p11().C_Encrypt = native;
  hanging.release();
  while (token.hanging > 0) await new Promise((resolve) => setImmediate(resolve));
  expect(() => probe(token)).not.toThrow();
});

test('a far token is probed off the event loop: one that hangs is found out within the time of an answer and asked nothing more, and one that answers again is well', async () => {
  const native = p11();
  const [decrypt, find, generate] = [native.C_DecryptAsync, native.C_FindObjectsInit, native.C_GenerateKey];
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  let begun = 0;
  native.C_DecryptAsync = async (...args) => {
    begun++;
    await released;
    return decrypt.apply(native, args);
  };
  native.C_FindObjectsInit = native.C_GenerateKey = () => {
    throw new Error('it would hang');
  };
  try {
    expect(await outcome(probeAsync(token))).toBe('HSM_UNAVAILABLE');
    expect(await outcome(probeAsync(token))).toBe('HSM_UNAVAILABLE');
    expect([begun, token.hanging]).toEqual([1, 1]);
    release();
    while (token.hanging > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(await outcome(probeAsync(token))).toBe('fine');
  } finally {
    [native.C_DecryptAsync, native.C_FindObjectsInit, native.C_GenerateKey] = [decrypt, find, generate];
  }
});

test('a far token that does not decipher is not well; its sessions are rebuilt, and then it is', async () => {
  const native = p11().C_DecryptAsync;
  const { generation } = token;
  p11().C_DecryptAsync = () => Promise.reject(Object.assign(new Error('CKR_GENERAL_ERROR:5'), { code: 5 }));
  expect(await outcome(probeAsync(token))).toBe('HSM_SESSION_LOST');
  p11().C_DecryptAsync = native;
  expect([token.generation, await outcome(probeAsync(token))]).toEqual([generation + 1, 'fine']);
});

test('whether a bad tag is an outage is asked off the event loop, so that forged ciphertexts hold up nobody', async () => {
  const sealed = await encrypts();
  const native = p11().C_Decrypt;
  let onEventLoop = 0;
  p11().C_Decrypt = ((...args: Parameters<typeof native>) => {
    onEventLoop++;
    return native.apply(p11(), args);
  }) as typeof native;
  const { generation } = token;
  const forged = Buffer.from(sealed);
  forged[0] = (forged[0] as number) ^ 1;
  expect(await outcome(token.use.decryptGcm(() => key, iv, aad, forged))).toBe('HSM_AUTHENTICATION_FAILED');
  expect((await token.use.decryptGcm(() => key, iv, aad, sealed)).equals(plaintext)).toBe(true);
  expect([onEventLoop, token.generation]).toEqual([0, generation]);
  // A token that deciphers nothing at all any more is away, whatever it calls that.
  const asynchronous = p11().C_DecryptAsync;
  p11().C_DecryptAsync = () => Promise.reject(Object.assign(new Error('CKR_GENERAL_ERROR:5'), { code: 5 }));
  expect(await outcome(token.use.decryptGcm(() => key, iv, aad, sealed))).toBe('HSM_SESSION_LOST');
  expect(token.generation).toBe(generation + 1);
  p11().C_DecryptAsync = asynchronous;
  p11().C_Decrypt = native;
});

test('a plaintext that comes too late is wiped', async () => {
  const sealed = await encrypts();
  const native = p11().C_DecryptAsync;
  const { promise, resolve: release } = Promise.withResolvers<void>();
  const late: Buffer[] = [];
  p11().C_DecryptAsync = async (...args) => {
    await promise;
    const opened = await native.apply(p11(), args);
    late.push(opened);
    return opened;
  };
  expect(await outcome(token.use.decryptGcm(() => key, iv, aad, sealed))).toBe('HSM_UNAVAILABLE');
  release();
  while (token.hanging > 0) await new Promise((resolve) => setImmediate(resolve));
  expect(late).toEqual([Buffer.alloc(plaintext.length)]);
  p11().C_DecryptAsync = native;
});

test('the generation of keys takes what it takes', async () => {
  const hanging = hangEncryptions();
  const native = p11().C_GenerateKeyPairAsync;
  let givenUp = false;
  p11().C_GenerateKeyPairAsync = async (...args) => {
    givenUp = (await outcome(encrypts())) === 'HSM_UNAVAILABLE';
    return native.apply(p11(), args);
  };
  expect(await outcome(token.generateSessionKeyPairAsync('RSA_2048'))).toBe('fine');
  expect(givenUp).toBe(true);
  p11().C_GenerateKeyPairAsync = native;
  hanging.release();
  while (token.hanging > 0) await new Promise((resolve) => setImmediate(resolve));
});
