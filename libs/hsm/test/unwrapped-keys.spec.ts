import { afterEach, beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type KeyHandle, Token, UnwrappedKeys, unwrappedKeyId } from '../src/index';
import { openFresh } from './fresh-token';

let token: Token;
let nowMs: number;
let unwraps: number;
let wrapped: Buffer;
let mechanism: number;
beforeEach(() => {
  token = openFresh();
  token.generateRootKey('root');
  ({ wrapped, mechanism } = token.generateKek(token.findTokenKey('root', 'secret')));
  nowMs = 0;
  unwraps = 0;
});
afterEach(() => token.close());

const open = (capacity: number, ttlMs = 1000) => new UnwrappedKeys(token, { capacity, ttlMs, now: () => nowMs });
const unwrap = (): KeyHandle => {
  unwraps++;
  return token.unwrap({ wrapped, mechanism, algorithm: 'AES_256', wrappingKey: token.findTokenKey('root', 'secret'), usage: 'encrypt' });
};
const id = (key: string, version = 1) => unwrappedKeyId(key, version, wrapped);
/** Session objects in the token that are not the canary's. */
const sessionObjects = () =>
  Token.connectionOf(token).call('find', (p11, { objects }) => {
    p11.C_FindObjectsInit(objects, [{ type: 0x1, value: false }]);
    const found = p11.C_FindObjects(objects, 10_000).length;
    p11.C_FindObjectsFinal(objects);
    return found - 1;
  });

test('a key is unwrapped once while it is held', () => {
  const keys = open(10);
  expect(keys.getOrUnwrap(id('k_a'), unwrap)).toBe(keys.getOrUnwrap(id('k_a'), unwrap));
  expect([unwraps, keys.size, sessionObjects()]).toEqual([1, 1, 1]);
});

test('another version or another blob of a key is another entry', () => {
  const keys = open(10);
  keys.getOrUnwrap(id('k_a', 1), unwrap);
  keys.getOrUnwrap(id('k_a', 2), unwrap);
  keys.getOrUnwrap(unwrappedKeyId('k_a', 1, Buffer.from('rewrapped')), unwrap);
  expect(unwraps).toBe(3);
});

test('what is displaced is destroyed in the token, whatever the order of use', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 40 }), (uses) => {
      const keys = open(3);
      for (const use of uses) {
        const key = keys.getOrUnwrap(id(`k_${use}`), unwrap);
        expect(token.encryptGcm(key, Buffer.alloc(12), Buffer.alloc(0), Buffer.from('x'))).toHaveLength(17);
        expect(sessionObjects()).toBe(keys.size);
        expect(keys.size).toBeLessThanOrEqual(3);
      }
      keys.clear();
      expect(sessionObjects()).toBe(0);
    }),
    { numRuns: 30 },
  );
});

test('a key past its time is destroyed, however often it was used, and unwrapped anew', () => {
  const keys = open(10, 1000);
  keys.getOrUnwrap(id('k_a'), unwrap);
  nowMs = 999;
  keys.getOrUnwrap(id('k_a'), unwrap);
  expect(unwraps).toBe(1);
  nowMs = 1001;
  keys.getOrUnwrap(id('k_a'), unwrap);
  expect([unwraps, sessionObjects()]).toEqual([2, 1]);
  nowMs = 3000;
  keys.forgetExpired();
  expect([keys.size, sessionObjects()]).toEqual([0, 0]);
});

test('forgetting a key destroys all its versions, and no key whose id begins alike', () => {
  const keys = open(10);
  for (const version of [1, 2]) keys.getOrUnwrap(id('k_a', version), unwrap);
  keys.getOrUnwrap(id('k_ab'), unwrap);
  keys.forget('k_a');
  expect([keys.size, sessionObjects()]).toEqual([1, 1]);
  keys.getOrUnwrap(id('k_ab'), unwrap);
  expect(unwraps).toBe(3);
});

test('when the token lost its sessions, every key is dropped and unwrapped anew, and no number of an old handle is destroyed', () => {
  const keys = open(10);
  const old = keys.getOrUnwrap(id('k_a'), unwrap);
  const connection = Token.connectionOf(token);
  connection.p11.C_Finalize();
  expect(() => token.encryptGcm(old, Buffer.alloc(12), Buffer.alloc(0), Buffer.from('x'))).toThrow(
    expect.objectContaining({ code: 'HSM_SESSION_LOST' }),
  );
  const again = keys.getOrUnwrap(id('k_a'), unwrap);
  expect(again).not.toBe(old);
  expect(token.encryptGcm(again, Buffer.alloc(12), Buffer.alloc(0), Buffer.from('x'))).toHaveLength(17);
  expect([unwraps, keys.size, sessionObjects()]).toEqual([2, 1, 1]);
});

test('a key that does not unwrap is not held, and its error passes through', () => {
  const keys = open(10);
  const failing = () =>
    token.unwrap({
      wrapped: Buffer.alloc(40),
      mechanism,
      algorithm: 'AES_256',
      wrappingKey: token.findTokenKey('root', 'secret'),
      usage: 'encrypt',
    });
  expect(() => keys.getOrUnwrap(id('k_a'), failing)).toThrow(expect.objectContaining({ code: 'HSM_WRAPPED_KEY_INVALID' }));
  expect(keys.size).toBe(0);
});

test('a KEK held beside the keys that it unwraps works at any capacity', () => {
  const keys = open(1);
  const root = () => token.findTokenKey('root', 'secret');
  const kek = () =>
    keys.getOrUnwrap(id('kek'), () => token.unwrap({ wrapped, mechanism, algorithm: 'AES_256', wrappingKey: root(), usage: 'wrap' }));
  const material = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: kek() });
  const key = keys.getOrUnwrap(id('k_a'), () => token.unwrap({ ...material, algorithm: 'AES_256', wrappingKey: kek(), usage: 'encrypt' }));
  expect(token.encryptGcm(key, Buffer.alloc(12), Buffer.alloc(0), Buffer.from('x'))).toHaveLength(17);
  expect(sessionObjects()).toBe(1);
});
