import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { algorithmNames, isPair } from '../src/algorithms';
import { type Algorithm, custodiesOf, type KeyHandle, Token, usagesOf, type WrappedKeyMaterial } from '../src/index';
import { passingKeyTemplate, template } from '../src/templates';
import { unwrapAs } from '../src/unwrapping';
import { caught, families, openFreshOf } from './fresh-token';

/** What a key does with a message, the same at each time. */
function done(token: Token, key: KeyHandle): Buffer {
  const message = Buffer.alloc(32, 7);
  if (key.algorithm.startsWith('AES')) return token.encryptGcm(key, Buffer.alloc(12), Buffer.alloc(0), message);
  if (key.algorithm.startsWith('HMAC')) return token.mac(key, message);
  throw new Error(key.algorithm);
}

describe.each(families)('%s', (family) => {
  const wrappable = algorithmNames.filter((name) => custodiesOf(name, family).includes('wrapped'));
  let token: Token;
  let root: KeyHandle;
  let first: KeyHandle;
  let second: KeyHandle;
  const usable = () => wrappable.filter((name) => token.supports(name));
  const kek = (under: KeyHandle) => token.unwrap({ ...token.generateKek(under), algorithm: 'AES_256', wrappingKey: under, usage: 'wrap' });
  const objects = () =>
    Token.connectionOf(token).call('find', (p11, { objects: session }) => {
      p11.C_FindObjectsInit(session, []);
      const found = p11.C_FindObjects(session, 1_000).length;
      p11.C_FindObjectsFinal(session);
      return found;
    });
  beforeAll(() => {
    token = openFreshOf(family);
    token.generateRootKey('root');
    root = token.findTokenKey('root', 'secret');
    first = kek(root);
    second = kek(root);
  });
  afterAll(() => token.close());

  test('every wrapped key goes from one KEK to another and stays itself; no object stays behind', async () => {
    expect(usable().length).toBeGreaterThan(8);
    for (const algorithm of usable()) {
      const before = await token.generateWrappedAsync({ algorithm, wrappingKey: () => first });
      const count = objects();
      const after = token.rewrap({ ...before, algorithm, from: first, to: second });
      expect([algorithm, objects()]).toEqual([algorithm, count]);
      expect(after).toMatchObject({ mechanism: before.mechanism, family });
      expect(after.wrapped).not.toEqual(before.wrapped);
      expect(token.rewrap({ ...after, algorithm, from: second, to: first }).wrapped).toEqual(before.wrapped);
      const gone = () => token.unwrap({ ...after, algorithm, wrappingKey: first, usage: usagesOf(algorithm)[0]! });
      expect([algorithm, caught(gone)]).toMatchObject([algorithm, { code: 'HSM_WRAPPED_KEY_INVALID' }]);
      if (isPair(algorithm)) continue;
      const usage = algorithm.startsWith('AES') ? 'encrypt' : 'mac';
      const [was, is] = [
        token.unwrap({ ...before, algorithm, wrappingKey: first, usage }),
        token.unwrap({ ...after, algorithm, wrappingKey: second, usage }),
      ];
      expect(done(token, is)).toEqual(done(token, was));
    }
  }, 60_000);

  test('a KEK goes from one root to another, and opens what it wrapped before', () => {
    token.generateRootKey('root-2');
    const root2 = token.findTokenKey('root-2', 'secret');
    const material = token.generateKek(root);
    const before = token.unwrap({ ...material, algorithm: 'AES_256', wrappingKey: root, usage: 'wrap' });
    const key = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: before });
    const moved = token.rewrap({ ...material, algorithm: 'AES_256', from: root, to: root2 });
    const after = token.unwrap({ ...moved, algorithm: 'AES_256', wrappingKey: root2, usage: 'wrap' });
    const use = (wrappingKey: KeyHandle) => done(token, token.unwrap({ ...key, algorithm: 'AES_256', wrappingKey, usage: 'encrypt' }));
    expect(use(after)).toEqual(use(before));
  });

  test('what is on its way can do nothing but be wrapped', () => {
    const nothing = ['CKA_ENCRYPT', 'CKA_DECRYPT', 'CKA_WRAP', 'CKA_UNWRAP', 'CKA_SIGN', 'CKA_VERIFY', 'CKA_DERIVE', 'CKA_TOKEN'] as const;
    const made = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: first });
    const passing = unwrapAs(
      Token.connectionOf(token),
      { ...made, algorithm: 'AES_256', wrappingKey: first },
      passingKeyTemplate('AES_256'),
    );
    const names = template(Object.fromEntries(nothing.map((name) => [name, undefined])));
    const flags = Token.connectionOf(token).call('read', (p11, session) => p11.C_GetAttributeValue(session.objects, passing.object, names));
    expect(flags.map(({ value }) => value[0])).toEqual(nothing.map(() => 0));
    token.destroyObject(passing);
  });

  test('what is no such key under the old one is refused, and leaves no object behind', () => {
    const made = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: first });
    const pair = token.generateWrapped({ algorithm: 'EC_P256', wrappingKey: first });
    const count = objects();
    const attempt = (algorithm: Algorithm, { wrapped, mechanism }: WrappedKeyMaterial, from = first, to = second) =>
      caught(() => token.rewrap({ wrapped, mechanism, algorithm, from, to }));
    const tampered = Buffer.from(made.wrapped);
    tampered[9]! ^= 1;
    const invalid = { code: 'HSM_WRAPPED_KEY_INVALID', retryable: false };
    expect(attempt('AES_256', { ...made, wrapped: tampered })).toMatchObject(invalid);
    expect(attempt('AES_128', made)).toMatchObject(invalid);
    expect(attempt('AES_256', pair)).toMatchObject(invalid);
    expect(attempt('EC_P256', made)).toMatchObject(invalid);
    expect(attempt('AES_256', made, second, first)).toMatchObject(invalid);
    expect(objects()).toBe(count);
    for (const algorithm of algorithmNames.filter((name) => !custodiesOf(name, family).includes('wrapped')))
      expect([algorithm, attempt(algorithm, made)]).toMatchObject([algorithm, { code: 'HSM_MECHANISM_UNAVAILABLE' }]);
  });

  test('a handle from before the token was reopened reaches it neither as the old key nor as the new one', () => {
    const made = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: first });
    const old = (key: KeyHandle) => ({ ...key, generation: key.generation - 1 });
    for (const [from, to] of [
      [old(first), second],
      [first, old(second)],
    ] as const)
      expect(caught(() => token.rewrap({ ...made, algorithm: 'AES_256', from, to }))).toMatchObject({ code: 'HSM_SESSION_LOST' });
  });

  test('a new blob that gives another key is not given out', () => {
    const made = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: first });
    const connection = Token.connectionOf(token);
    const wrapKey = connection.p11.C_WrapKey.bind(connection.p11);
    const other = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: second });
    let calls = 0;
    connection.p11.C_WrapKey = ((...args: Parameters<typeof wrapKey>) =>
      calls++ === 0 ? other.wrapped : wrapKey(...args)) as typeof wrapKey;
    try {
      expect(caught(() => token.rewrap({ ...made, algorithm: 'AES_256', from: first, to: second }))).toMatchObject({
        code: 'HSM_SELF_TEST_FAILED',
      });
    } finally {
      connection.p11.C_WrapKey = wrapKey;
    }
  });

  // The last one: kryoptic calls the handle of such a key invalid, and its sessions are then rebuilt.
  test('a key that wraps no others is refused on either side', () => {
    const refused = family === 'kryoptic' ? 'HSM_SESSION_LOST' : 'HSM_KEY_USE_REFUSED';
    for (const side of ['from', 'to'] as const) {
      const rootNow = token.findTokenKey('root', 'secret');
      const sides = { from: kek(rootNow), to: kek(rootNow) };
      const made = token.generateWrapped({ algorithm: 'AES_256', wrappingKey: sides.from });
      const data = token.unwrap({ ...made, algorithm: 'AES_256', wrappingKey: sides.from, usage: 'encrypt' });
      const attempt = () => token.rewrap({ ...made, algorithm: 'AES_256', ...sides, [side]: data });
      expect([side, caught(attempt)]).toMatchObject([side, { code: refused }]);
    }
  });
});
