import type { TokenObjectName } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { allRoots, destroyRoot, newRoot, placedRoot, retireRoot } from '../src/root';
import { deviceOf } from '../src/token-device';
import { assertLeft, assertNoKeys, assertNoneStays, assertOnly, contentsOf, rootsThatWere } from '../src/token-ending';

const now = '2026-03-01T12:00:00.000Z';
const one = (of: string, label: string, id = ''): TokenObjectName => ({ class: of, label, id });
const key = `key-${'0'.repeat(24)}`;
const pair = [one('private', 'certifier'), one('public', 'certifier')];
const canary = one('data', 'claviger-canary');
const foreign = [one('secret', 'of-others', '01'), one('certificate', ''), one('data', 'certifier'), one('secret', 'claviger-canary')];
const trust = { certifiers: { 'customer-certifier': 'old', 'customer-certifier-2': 'new', 'control-certifier': 'control' } };
const seen = (token: 'first' | 'further' | 'unknown') => ({ worker: 'crypto-worker.w1', first: 'hsm-2', token, lacks: [] });

test('what a token holds are keys of Claviger by their labels, what only its workers needed, and what others put there', () => {
  const objects = [...pair, canary, ...foreign, one('secret', 'root'), one('secret', 'root-12'), one('private', key), one('public', key)];
  for (const certifier of ['old', 'new'])
    expect(contentsOf(objects, certifier, trust)).toEqual({ keys: objects.slice(-4), leavings: [...pair, canary], foreign });
  // Another's pair of that name, and one that certifies others, are not ours to destroy.
  for (const certifier of ['another', 'control', undefined])
    expect(contentsOf([...pair, canary], certifier, trust)).toEqual({ keys: [], leavings: [canary], foreign: pair });
});

test('no token ends while a root is in it, while nobody has said where a root is, or while it certifies a worker', () => {
  const [first] = allRoots([]) as [ReturnType<typeof newRoot>];
  const retiring = placedRoot(retireRoot(first, now), 'customer');
  const second = newRoot('root-2', now, 'hsm-2');
  expect(() => assertLeft('customer', [first], [seen('further')])).toThrow(/ERR_TOKEN_NOT_EMPTY.*in which token root is/);
  expect(() => assertLeft('customer', [retiring, second], [seen('further')])).toThrow(
    /ERR_TOKEN_NOT_EMPTY.*root is in token customer and retiring/,
  );
  expect(() => assertLeft('hsm-2', [retiring, second], [seen('further')])).toThrow(/root-2 is in token hsm-2 and active/);
  const gone = destroyRoot(retiring, now);
  expect(() => assertLeft('customer', [gone, second], [seen('further'), seen('first')])).toThrow(
    /ERR_TOKEN_NOT_EMPTY.*first of crypto-worker\.w1/,
  );
  assertLeft('customer', [gone, second], [seen('further'), seen('unknown')]);
  expect(rootsThatWere('customer', [gone, second])).toEqual([{ label: 'root', destroyedAt: now }]);
});

test('a key is never left; what others put there only when that is said', () => {
  const contents = { keys: [], leavings: [canary], foreign };
  expect(() => assertNoKeys('customer', { ...contents, keys: [one('private', key)] }, true)).toThrow(
    new RegExp(`ERR_TOKEN_NOT_EMPTY.*private ${key}`),
  );
  expect(() => assertNoKeys('customer', contents, false)).toThrow(/ERR_TOKEN_NOT_EMPTY.*secret of-others and 3 more/);
  assertNoKeys('customer', contents, true);
  assertNoKeys('customer', { ...contents, foreign: [] }, false);
});

test('after all is destroyed there is what others put there, and no more than that', () => {
  assertOnly('customer', foreign.toReversed(), foreign);
  expect(() => assertOnly('customer', foreign.slice(1), foreign)).toThrow(/ERR_INTERNAL.*secret of-others/);
  for (const more of [canary, foreign[0] as TokenObjectName])
    expect(() => assertOnly('customer', [...foreign, more], foreign)).toThrow(/ERR_TOKEN_NOT_EMPTY/);
});

test('a label means one device to all workers, or nothing of it is destroyed', () => {
  const on = (serialNumber?: string, more: { first?: string; token?: 'further' | 'unknown' } = {}) => ({
    ...{ ...seen('further'), ...more },
    ...(serialNumber === undefined ? {} : { serialNumber }),
  });
  const unknown = on(undefined, { token: 'unknown' });
  expect(deviceOf('customer', [on('a'), unknown, on('a')])).toEqual({ label: 'customer', serialNumber: 'a' });
  expect(() => deviceOf('customer', [on('a'), on('b')])).toThrow(/ERR_CONFLICT.*a, b/);
  expect(() => deviceOf('customer', [on('a'), on()])).toThrow(/ERR_HSM_UNAVAILABLE/);
  expect(() => deviceOf('customer', [unknown])).toThrow(/ERR_NOT_FOUND/);
  expect(deviceOf(undefined, [on('a'), on('a')])).toEqual({ label: 'hsm-2', serialNumber: 'a' });
  expect(() => deviceOf(undefined, [on('a'), on('a', { first: 'customer' })])).toThrow(/ERR_CONFLICT/);
});

test('no token ends that the store names, or may name, of a version', () => {
  const of = (keys: [string, number][], unread = 0) => ({ within: new Map(keys), unread });
  assertNoneStays('customer', of([['post-quantum', 2]]));
  expect(() => assertNoneStays('customer', of([['customer', 2]]))).toThrow(/ERR_TOKEN_NOT_EMPTY.*2 keys/);
  expect(() => assertNoneStays('customer', of([], 1))).toThrow(/ERR_TOKEN_NOT_EMPTY.*tampered/);
});
