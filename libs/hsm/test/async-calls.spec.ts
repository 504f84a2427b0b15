import { createHash, createPublicKey } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type KeyHandle, Token, type WrappedKeyMaterial } from '../src/index';
import { caught, freshToken } from './fresh-token';
import { verifiesOutside } from './outside';

const message = Buffer.from('signed on another thread');
const digest = createHash('sha256').update(message).digest();
const none = Buffer.alloc(0);
const asyncSessions = 2;

let token: Token;
let spki: Buffer;
let nowMs = 0;
beforeEach(() => {
  const fresh = freshToken();
  token = Token.open({ ...fresh, asyncSessions, now: () => nowMs });
  token.createCanary();
});
afterEach(() => token.close());

const p11 = () => Token.connectionOf(token).p11;
const sessions = () => Token.connectionOf(token).ready();
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));
const signer = (): KeyHandle => token.findTokenKey('signer', 'private');
const makeSigner = async (algorithm: 'RSA_2048' | 'RSA_4096' = 'RSA_2048') => {
  spki = await token.generateTokenKeyPairAsync('signer', algorithm);
};
const signs = () => token.signDigestAsync(signer, 'PS256', digest);
const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => 'fine',
    (error: { code?: string }) => error.code,
  );

/** How many native calls are in flight, and the most that ever were. */
function countInFlight() {
  const counts = { now: 0, most: 0, sessions: new Set<string>() };
  const native = p11().C_SignAsync;
  p11().C_SignAsync = (session, ...rest) => {
    counts.now++;
    counts.most = Math.max(counts.most, counts.now);
    counts.sessions.add(session.toString('hex'));
    return native.call(p11(), session, ...rest).finally(() => counts.now--);
  };
  return counts;
}

test('the event loop turns, and AES goes on, while RSA-4096 signs and a pair is generated', async () => {
  await makeSigner('RSA_4096');
  token.generateRootKey('root');
  const root = token.findTokenKey('root', 'secret');
  const aes = token.unwrap({
    ...token.generateWrapped({ algorithm: 'AES_256', wrappingKey: root }),
    algorithm: 'AES_256',
    wrappingKey: root,
    usage: 'encrypt',
  });
  for (const begin of [signs, () => token.generateSessionKeyPairAsync('RSA_4096')]) {
    const events: string[] = [];
    const pending = begin().then(() => events.push('done'));
    // A call that held the loop would be done before the first turn.
    await nextTurn();
    events.push(`turn with ${token.encryptGcm(aes, Buffer.alloc(12), none, message).length} bytes`);
    await pending;
    expect(events).toEqual([`turn with ${message.length + 16} bytes`, 'done']);
  }
});

test('no more calls run at once than there are sessions, and the sessions are their own', async () => {
  await makeSigner();
  const counts = countInFlight();
  const { objects, operations } = sessions();
  const signatures = await Promise.all(Array.from({ length: 20 }, signs));
  for (const signature of signatures) expect(verifiesOutside('PS256', spki, message, signature)).toBe(true);
  expect([counts.most, counts.sessions.size, counts.now]).toEqual([asyncSessions, asyncSessions, 0]);
  expect(counts.sessions.has(objects.toString('hex')) || counts.sessions.has(operations.toString('hex'))).toBe(false);
});

test('first come, first served: also those that come while others wait', async () => {
  await makeSigner();
  const begun: number[] = [];
  const call = (n: number) =>
    token.signDigestAsync(
      () => {
        begun.push(n);
        return signer();
      },
      'RS256',
      digest,
    );
  const calls = [0, 1, 2, 3, 4].map(call);
  await calls[0];
  calls.push(call(5), call(6));
  await Promise.all(calls);
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

test('an input may be changed by its owner once the call was made', async () => {
  await makeSigner();
  const mine = Buffer.from(digest);
  const signatures = Array.from({ length: 4 }, () => token.signDigestAsync(signer, 'PS256', mine));
  mine.fill(0);
  for (const signature of await Promise.all(signatures)) expect(verifiesOutside('PS256', spki, message, signature)).toBe(true);
});

test('a session lost in the middle: what is in flight is refused as retryable, what waits goes on with new sessions', async () => {
  await makeSigner('RSA_4096');
  const { generation } = token;
  const calls = Array.from({ length: 6 }, signs).map(outcome);
  // Another call finds its session closed, and the token rebuilds them all under those that are in flight.
  p11().C_CloseSession(sessions().objects);
  expect(caught(() => token.findTokenKey('other', 'private'))).toMatchObject({ code: 'HSM_SESSION_LOST' });
  expect(token.generation).toBe(generation + 1);
  expect(await Promise.all(calls)).toEqual(['HSM_SESSION_LOST', 'HSM_SESSION_LOST', 'fine', 'fine', 'fine', 'fine']);
  expect(token.generation).toBe(generation + 1);
  expect(verifiesOutside('PS256', spki, message, await signs())).toBe(true);
});

test('an idle session that was lost costs one retryable failure, then all is new', async () => {
  await makeSigner();
  const { generation } = token;
  for (const session of sessions().asynchronous.idle) p11().C_CloseSession(session);
  expect(await outcome(signs())).toBe('HSM_SESSION_LOST');
  expect(token.generation).toBe(generation + 1);
  expect(verifiesOutside('PS256', spki, message, await signs())).toBe(true);
});

test('a handle of an older generation is refused before it reaches the token', async () => {
  await makeSigner();
  const old = signer();
  p11().C_CloseSession(sessions().objects);
  expect(caught(() => token.findTokenKey('other', 'private'))).toMatchObject({ code: 'HSM_SESSION_LOST' });
  await expect(token.signDigestAsync(() => old, 'PS256', digest)).rejects.toMatchObject({ code: 'HSM_SESSION_LOST', ckr: undefined });
});

test('the library is not restarted under a call in flight, and is afterwards', async () => {
  await makeSigner('RSA_4096');
  const native = p11();
  const [finalise, slots] = [native.C_Finalize, native.C_GetSlotList];
  let finalised = 0;
  native.C_Finalize = () => {
    finalised++;
    finalise.call(native);
  };
  // The token is not to be seen until the library was restarted.
  native.C_GetSlotList = (present) => (finalised === 0 ? [] : slots.call(native, present));
  try {
    const pending = outcome(signs());
    native.C_CloseSession(sessions().objects);
    expect(caught(() => token.findTokenKey('other', 'private'))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
    expect(finalised).toBe(0);
    expect(await pending).toBe('HSM_SESSION_LOST');
    nowMs += 60_000;
    expect(verifiesOutside('PS256', spki, message, await signs())).toBe(true);
    expect(finalised).toBe(1);
  } finally {
    native.C_Finalize = finalise;
    native.C_GetSlotList = slots;
  }
});

test('a call that is refused here, or by the token at its beginning, costs no session', async () => {
  await makeSigner();
  const { privateKey } = await token.generateSessionKeyPairAsync('RSA_2048');
  const idle = new Set(sessions().asynchronous.idle);
  const publicKey = token.importPublicKey('RSA_2048', spki);
  for (let n = 0; n < 10; n++) {
    expect(await outcome(token.signDigestAsync(() => privateKey, 'ES256', digest))).toBe('HSM_KEY_USE_REFUSED');
    expect(await outcome(token.signDigestAsync(() => privateKey, 'PS512', digest))).toBe('HSM_ARGUMENT_INVALID');
    expect(await outcome(token.signDigestAsync(() => publicKey, 'PS256', digest))).toBe('HSM_KEY_USE_REFUSED');
    expect(await token.verifyDigestAsync(() => publicKey, 'PS256', digest, Buffer.alloc(256))).toBe(false);
  }
  expect(new Set(sessions().asynchronous.idle)).toEqual(idle);
  expect(idle.size).toBe(asyncSessions);
});

test('a token that is closed lets its calls end, then finalises the library; those that wait are refused', async () => {
  await makeSigner('RSA_4096');
  const events: string[] = [];
  const native = p11();
  const finalise = native.C_Finalize;
  native.C_Finalize = () => {
    events.push('finalised');
    finalise.call(native);
  };
  const signAsync = native.C_SignAsync;
  native.C_SignAsync = (...args) => signAsync.apply(native, args).finally(() => events.push('ended'));
  const calls = Array.from({ length: 3 }, signs).map(outcome);
  token.close();
  expect(events).toEqual([]);
  expect(await Promise.all(calls)).toEqual(['HSM_SESSION_LOST', 'HSM_SESSION_LOST', 'HSM_CONFIGURATION']);
  expect(events).toEqual(['ended', 'ended', 'finalised']);
  native.C_Finalize = finalise;
  native.C_SignAsync = signAsync;
});

test('a pair generated off the event loop lives as long as its generation, whatever fails on its session', async () => {
  const pairs = await Promise.all([token.generateSessionKeyPairAsync('EC_P256'), token.generateSessionKeyPairAsync('RSA_2048')]);
  await makeSigner();
  const { generation } = token;
  // Fails after its beginning, so that the session may wait for the rest: it is not used again, and not closed either while it owns a key.
  const native = p11().C_SignAsync;
  for (let n = 0; n < 6; n++) {
    p11().C_SignAsync = () => Promise.reject(new TypeError('Argument 1 has wrong type'));
    expect(await outcome(signs())).toBe('HSM_ARGUMENT_INVALID');
  }
  p11().C_SignAsync = native;
  expect(token.generation).toBe(generation);
  const [ec, rsa] = pairs;
  expect(verifiesOutside('ES256', ec.publicKeySpki, message, token.signDigest(ec.privateKey, 'ES256', digest))).toBe(true);
  expect(verifiesOutside('RS256', rsa.publicKeySpki, message, await token.signDigestAsync(() => rsa.privateKey, 'RS256', digest))).toBe(
    true,
  );
  p11().C_CloseSession(sessions().objects);
  expect(caught(() => token.findTokenKey('other', 'private'))).toMatchObject({ code: 'HSM_SESSION_LOST' });
  expect(await outcome(token.signDigestAsync(() => ec.privateKey, 'ES256', digest))).toBe('HSM_SESSION_LOST');
});

test('the wrapping key is asked again after the generation: one that a cache gave up meanwhile does no harm', async () => {
  token.generateRootKey('root');
  const root = () => token.findTokenKey('root', 'secret');
  const kekMaterial = token.generateKek(root());
  const unwrapKek = () => token.unwrap({ ...kekMaterial, algorithm: 'AES_256', wrappingKey: root(), usage: 'wrap' });
  let held = unwrapKek();
  const { generation } = token;
  const pending: Promise<WrappedKeyMaterial> = token.generateWrappedAsync({ algorithm: 'RSA_2048', wrappingKey: () => held });
  token.destroyObject(held);
  held = unwrapKek();
  const { publicKeySpki } = await pending;
  expect(createPublicKey({ key: publicKeySpki!, format: 'der', type: 'spki' }).asymmetricKeyType).toBe('rsa');
  expect(token.generation).toBe(generation);
});

test('a generation that ends during a generation of keys leaves no key behind', async () => {
  token.generateRootKey('root');
  const root = () => token.findTokenKey('root', 'secret');
  const pending = outcome(token.generateWrappedAsync({ algorithm: 'RSA_2048', wrappingKey: root }));
  p11().C_CloseSession(sessions().objects);
  expect(caught(() => token.findTokenKey('other', 'private'))).toMatchObject({ code: 'HSM_SESSION_LOST' });
  expect(await pending).toBe('HSM_SESSION_LOST');
  const found = Token.connectionOf(token).call('find', (native, { objects }) => {
    native.C_FindObjectsInit(objects, []);
    const handles = native.C_FindObjects(objects, 100).length;
    native.C_FindObjectsFinal(objects);
    return handles;
  });
  // The canary object, the canary key of the new sessions, and the root.
  expect(found).toBe(3);
});

test('there is at least one session', () => {
  const fresh = freshToken();
  for (const size of [0, -1, 1.5])
    expect(caught(() => Token.open({ ...fresh, asyncSessions: size }))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
  Token.open({ ...fresh, asyncSessions: 1 }).close();
});
