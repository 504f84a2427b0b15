import { Alias, AliasView, KeyRef } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { assertPointable, deleteAlias, type KeyAlias, pointAlias, targetOf, viewAlias } from '../src/alias';
import { destroyKey, type Key, scheduleDeletion } from '../src/key';
import { newKey, nowMs } from './made-keys';

const name = 'alias/payments/cards';
const codeOf = (to: Key, from?: Key): string | undefined => {
  try {
    assertPointable(to, from);
    return undefined;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test('an alias is lower case under alias/, and nothing else; a key is named by its id or by an alias', () => {
  for (const good of [name, 'alias/a', `alias/${'a'.repeat(128)}`, 'alias/2026/a_b-c'])
    expect([Alias.safeParse(good).success, KeyRef.safeParse(good).success]).toEqual([true, true]);
  const bad = [
    'alias/',
    'payments',
    'alias/Cards',
    'alias/-a',
    'alias//a',
    'alias/a.b',
    'alias/a b',
    'alias/é',
    `alias/${'a'.repeat(129)}`,
    'alias/a\n',
  ];
  for (const text of [...bad, 'ALIAS/a', 'alias/*', 'alias/>', '__proto__'])
    expect([Alias.safeParse(text).success, KeyRef.safeParse(text).success]).toEqual([false, false]);
  expect(KeyRef.safeParse(newKey().keyId).success).toBe(true);
  expect(KeyRef.safeParse(`${newKey().keyId}alias/a`).success).toBe(false);
});

test('whatever is done with an alias, its revision grows by one and it points where it was pointed last, or nowhere', () => {
  const ids = [newKey().keyId, newKey().keyId];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...ids, undefined), { minLength: 1 }), (steps) => {
      let current: KeyAlias | undefined;
      let revision = 0;
      for (const step of steps) {
        if (step === undefined && current === undefined) continue;
        current = step === undefined ? deleteAlias(current as KeyAlias) : pointAlias(current, name, step);
        revision++;
        expect([targetOf(current), current.revision]).toEqual([step, revision]);
        expect(AliasView.parse(viewAlias(current)).keyId).toBe(step);
      }
    }),
  );
});

test('an alias is pointed only to a key that takes the same requests in the same environment, and that is not to be destroyed', () => {
  const from = newKey();
  expect(codeOf(newKey(), from)).toBeUndefined();
  expect(codeOf(newKey({ algorithm: 'AES_128' }), from)).toBeUndefined();
  expect(codeOf(newKey({ environment: 'development' }), from)).toBe('ERR_ALIAS_MISMATCH');
  expect(codeOf(newKey({ algorithm: 'EC_P256', usage: 'sign' }), from)).toBe('ERR_ALIAS_MISMATCH');
  expect(codeOf(newKey({ algorithm: 'RSA_3072', usage: 'encrypt' }), from)).toBe('ERR_ALIAS_MISMATCH');
  expect(codeOf(newKey({ algorithm: 'EC_P256', usage: 'sign' }))).toBeUndefined();
  const ending = scheduleDeletion(newKey(), 7, { by: 'kim', reason: 'r' }, nowMs);
  expect(codeOf(ending)).toBe('ERR_KEY_PENDING_DELETION');
  const destroyed = destroyKey(ending, nowMs + 8 * 86_400_000);
  expect(codeOf(destroyed)).toBe('ERR_KEY_STATE');
  // Away from it is what has to be possible.
  expect(codeOf(newKey(), destroyed)).toBeUndefined();
});
