import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { canaryLabel, type KeyHandle, moveWrappingKey, Token, tokenHoldings, type WrappedKeyMaterial, withoutCanary } from '../src/index';
import { template } from '../src/templates';
import { caught, openFresh } from './fresh-token';

let old: Token;
let next: Token;
beforeAll(() => {
  [old, next] = [openFresh(), openFresh()];
  old.generateRootKey('root');
  next.generateRootKey('root-2');
});
afterAll(() => {
  old.close();
  next.close();
});

const root = (token: Token, label: string) => () => token.findTokenKey(label, 'secret');
const opened = (token: Token, material: WrappedKeyMaterial, under: () => KeyHandle) =>
  token.unwrap({ ...material, algorithm: 'AES_256', wrappingKey: under(), usage: 'wrap' });
const objects = (token: Token) =>
  Token.connectionOf(token).call('find', (p11, { objects: session }) => {
    p11.C_FindObjectsInit(session, template({ CKA_TOKEN: false }));
    const found = p11.C_FindObjects(session, 1_000).length;
    p11.C_FindObjectsFinal(session);
    return found;
  });

test('a KEK goes to another token as the same KEK: what the one has wrapped opens in the other, and nothing stays behind', async () => {
  const [under, to] = [root(old, 'root'), root(next, 'root-2')];
  const kek = old.generateKek(under());
  const before = [objects(old), objects(next)];
  const moved = await moveWrappingKey(old, next, { ...kek, under }, to);
  expect([objects(old), objects(next)]).toEqual(before);
  expect(moved).toEqual({ mechanism: kek.mechanism, family: 'softhsm', wrapped: expect.any(Buffer) });
  expect(moved.wrapped).not.toEqual(kek.wrapped);
  const [here, there] = [opened(old, kek, under), opened(next, moved, to)];
  const [iv, text] = [Buffer.alloc(12), Buffer.from('the same key')];
  for (const algorithm of ['AES_256', 'HMAC_SHA_512', 'EC_P256'] as const) {
    const key = old.generateWrapped({ algorithm, wrappingKey: here });
    const again = next.rewrap({ ...key, algorithm, from: there, to: there });
    expect([algorithm, again.wrapped.equals(key.wrapped)]).toEqual([algorithm, true]);
  }
  const key = old.generateWrapped({ algorithm: 'AES_256', wrappingKey: here });
  const use = (token: Token, wrappingKey: KeyHandle) => token.unwrap({ ...key, algorithm: 'AES_256', wrappingKey, usage: 'encrypt' });
  const sealed = old.encryptGcm(use(old, here), iv, Buffer.alloc(0), text);
  expect(next.decryptGcm(use(next, there), iv, Buffer.alloc(0), sealed)).toEqual(text);
});

test('a KEK that does not open is not moved, nor one whose token wraps what the other does not open', async () => {
  const [under, to] = [root(old, 'root'), root(next, 'root-2')];
  const kek = old.generateKek(under());
  const damaged = { ...kek, wrapped: Buffer.alloc(40, 1), under };
  await expect(moveWrappingKey(old, next, damaged, to)).rejects.toMatchObject({ code: 'HSM_WRAPPED_KEY_INVALID' });
  const other = old.generateKek(under());
  const confused = Object.create(old, {
    family: { get: () => old.family },
    label: { get: () => old.label },
    wrapToRecipient: { value: old.wrapToRecipient.bind(old) },
    // Under another KEK than that which went over.
    unwrap: { value: (request: Parameters<Token['unwrap']>[0]) => old.unwrap({ ...request, ...other }) },
    generateWrapped: { value: old.generateWrapped.bind(old) },
    destroyObject: { value: old.destroyObject.bind(old) },
  }) as Token;
  await expect(moveWrappingKey(confused, next, { ...kek, under }, to)).rejects.toMatchObject({ code: 'HSM_SELF_TEST_FAILED' });
});

test('a handle of one token is refused by another, whatever its number', () => {
  const key = next.findTokenKey('root-2', 'secret');
  expect(caught(() => old.generateKek(key))).toMatchObject({ code: 'HSM_SESSION_LOST' });
});

test('all that a token holds is told, of every class; without its canary nothing is', () => {
  const token = openFresh();
  token.generateTokenKeyPair('certifier', 'EC_P256');
  token.generateRootKey('root');
  const others = (label: string, isPrivate = true) =>
    Token.connectionOf(token).call('generate', (p11, { objects: session }) =>
      p11.C_CreateObject(
        session,
        template({ CKA_CLASS: 0, CKA_TOKEN: true, CKA_PRIVATE: isPrivate, CKA_LABEL: label, CKA_VALUE: Buffer.from('x') }),
      ),
    );
  others('of-others');
  const said = () =>
    tokenHoldings(token)
      .map((one) => `${one.class} ${one.label}`)
      .sort();
  expect(said()).toEqual(['data claviger-canary', 'data of-others', 'private certifier', 'public certifier', 'secret root']);
  token.destroyTokenKeyPair('certifier');
  token.destroyRootKey('root');
  // What others have put there under our names stays.
  for (const label of ['certifier', 'root']) others(label);
  others(canaryLabel, false);
  expect([token.destroyTokenKeyPair('certifier'), token.destroyRootKey('root')]).toEqual([false, false]);
  const left = ['data certifier', `data ${canaryLabel}`, 'data of-others', 'data root'];
  expect(
    withoutCanary(token)
      .map((one) => `${one.class} ${one.label}`)
      .sort(),
  ).toEqual(left);
  expect(caught(() => tokenHoldings(token))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
  token.close();
});
