import type { KeyFilter } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cancelDeletion, destroyKey, type Key, rotateKey, scheduleDeletion, suspendKey } from '../src/key';
import { facetsOf, facetsWanted, isMeant } from '../src/key-facets';
import { indexFieldsOf, misindexedFields } from '../src/key-query';
import { asked, variedKeys } from './keys-to-find';
import { made, newKey, now, nowMs } from './made-keys';

const keys = variedKeys();

test.each(asked)('a filter by %s means those keys and no other', (_what, filter, is) => {
  const meant = keys.filter((key) => isMeant(key, filter));
  expect(meant.map(({ name }) => name)).toEqual(keys.filter(is).map(({ name }) => name));
  expect(meant.length).toBeGreaterThan(0);
  expect(meant.length).toBeLessThan(keys.length);
});

test('what is asked together must all be so', () => {
  const filter = fc.constantFrom(...asked);
  fc.assert(
    fc.property(filter, filter, fc.constantFrom(...keys), ([, one, isOne], [, other, isOther], key) => {
      const both = { ...one, ...other };
      // Where the two ask for the same thing the second replaces the first.
      fc.pre(Object.keys(both).length === Object.keys(one).length + Object.keys(other).length);
      expect(isMeant(key, both)).toBe(isOne(key) && isOther(key));
    }),
  );
});

test('no filter means every key', () => {
  expect(keys.every((key) => isMeant(key, {}))).toBe(true);
});

test('a tag value is never taken for a name, nor an owner for a consumer', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,5}$/);
  const value = fc.string({ maxLength: 8 });
  fc.assert(
    fc.property(name, value, name, value, (has, hasValue, wants, wantsValue) => {
      const key = newKey({ tags: { [has]: hasValue } });
      expect(isMeant(key, { tag: { name: wants } })).toBe(has === wants);
      expect(isMeant(key, { tag: { name: wants, value: wantsValue } })).toBe(has === wants && hasValue === wantsValue);
    }),
  );
  expect(isMeant(newKey({ owner: 'x', consumers: [] }), { consumer: 'x' })).toBe(false);
});

test('a key that waits for its deletion waits no more once it is cancelled, or has happened', () => {
  const waiting = scheduleDeletion(newKey(), 7, { by: 'ada', reason: 'd' }, nowMs);
  expect(isMeant(waiting, { pendingDeletion: true })).toBe(true);
  expect(isMeant(cancelDeletion(waiting), { pendingDeletion: true })).toBe(false);
  const destroyed = destroyKey(waiting, nowMs + 8 * 86_400_000);
  expect(isMeant(destroyed, { pendingDeletion: true })).toBe(false);
  expect(isMeant(destroyed, { state: 'destroyed' })).toBe(true);
  expect(facetsOf(destroyed).some((facet) => /^(custody|kek)=/.test(facet))).toBe(false);
});

test('the state asked for is that of the primary version', () => {
  const rotated = rotateKey(newKey(), made(2), 'r', now);
  expect(rotated.versions.map(({ state }) => state)).toEqual(['deactivated', 'active']);
  expect(isMeant(rotated, { state: 'active' })).toBe(true);
  expect(isMeant(rotated, { state: 'deactivated' })).toBe(false);
});

test('what few keys have is asked of the store first', () => {
  const filter: KeyFilter = { environment: 'production', custody: 'wrapped', owner: 'kim', tag: { name: 'pci', value: 'yes' } };
  expect(facetsWanted(filter)).toEqual(['owner=kim', 'tag=pci=yes', 'environment=production', 'custody=wrapped']);
});

test('index fields that say something else than the key are named, in whatever order they stand', () => {
  const key = suspendKey(newKey({ tags: { pci: 'yes' } }), false, 's', now);
  const document = { name: key.name, ...indexFieldsOf(key) };
  const wrong = (change: object) => misindexedFields({ ...document, ...change }, key as Key);
  expect(wrong({ facets: [...document.facets].reverse() })).toEqual([]);
  expect(wrong({ facets: document.facets.slice(1) })).toEqual(['facets']);
  expect(wrong({ facets: [...document.facets, 'owner=eve'] })).toEqual(['facets']);
  expect(wrong({ facets: undefined })).toEqual(['facets']);
  expect(wrong({ facets: 'x' })).toEqual(['facets']);
  expect(wrong({ createdAt: '1999-01-01T00:00:00.000Z', name: 'x' })).toEqual(['name', 'createdAt']);
});
