import { KeyDescription, limits } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cancelDeletion, destroyKey, type Key, scheduleDeletion } from '../src/key';
import { describeKey } from '../src/key-description';
import { dataInForce, protectKey, registerData, unprotectKey, unregisterData } from '../src/key-protection';
import { codeOf } from './code-of';
import { newKey, nowMs } from './made-keys';

const day = 86_400_000;
const iso = (atMs: number) => new Date(atMs).toISOString();
const order = { by: 'ada', reason: 'obsolete' };
const schedule = (key: Key, atMs = nowMs) => scheduleDeletion(key, 7, order, atMs);
const table = (name: string, until?: string) => ({ name, by: 'payments-api', until });

test('no deletion of a protected key is scheduled until the protection is lifted, and one that is scheduled is cancelled first', () => {
  const key = protectKey(newKey());
  expect(key).toMatchObject({ purgeProtected: true, revision: 2 });
  expect(protectKey(key)).toBe(key);
  expect(codeOf(() => schedule(key))).toBe('ERR_KEY_PROTECTED');
  const lifted = unprotectKey(key);
  expect(lifted).not.toHaveProperty('purgeProtected');
  expect(unprotectKey(lifted)).toBe(lifted);
  const waiting = schedule(lifted);
  expect(codeOf(() => protectKey(waiting))).toBe('ERR_KEY_PENDING_DELETION');
  expect(codeOf(() => registerData(waiting, table('t'), nowMs))).toBe('ERR_KEY_PENDING_DELETION');
  expect(protectKey(cancelDeletion(waiting)).purgeProtected).toBe(true);
  const destroyed = destroyKey(waiting, nowMs + 7 * day);
  for (const change of [
    protectKey,
    unprotectKey,
    (k: Key) => registerData(k, table('t'), nowMs),
    (k: Key) => unregisterData(k, table('t'), nowMs),
  ])
    expect(codeOf(() => change(destroyed))).toBe('ERR_KEY_STATE');
});

test('a key is not deleted while data is registered that it opens; what has ended holds it no longer', () => {
  const until = iso(nowMs + 30 * day);
  const key = registerData(newKey(), table('cards', until), nowMs);
  expect(key.data).toEqual([{ name: 'cards', by: 'payments-api', at: iso(nowMs), until }]);
  expect(() => schedule(key)).toThrow('cards (registered by payments-api)');
  expect(codeOf(() => schedule(key, nowMs + 30 * day - 1))).toBe('ERR_KEY_PROTECTED');
  expect(codeOf(() => schedule(key, nowMs + 30 * day))).toBe('OK');
  const forGood = registerData(key, table('cards'), nowMs);
  expect(codeOf(() => schedule(forGood, nowMs + 9_999 * day))).toBe('ERR_KEY_PROTECTED');
  expect(codeOf(() => schedule(unregisterData(forGood, table('cards'), nowMs)))).toBe('OK');
  expect(unregisterData(key, table('other'), nowMs)).toBe(key);
  expect(codeOf(() => registerData(key, table('late', iso(nowMs)), nowMs))).toBe('ERR_MALFORMED_REQUEST');
  expect(KeyDescription.parse(describeKey(forGood)).data).toHaveLength(1);
});

test('who registered data, or the owner of the key, changes that; another who uses the key does not', () => {
  const key = registerData(newKey(), table('cards', iso(nowMs + 30 * day)), nowMs);
  const said = (by: string) => ({ name: 'cards', by, until: undefined });
  for (const change of [registerData, unregisterData]) {
    expect(() => change(key, said('reports'), nowMs)).toThrow('cards was registered by payments-api');
    expect(codeOf(() => change(key, said('reports'), nowMs))).toBe('ERR_KEY_PROTECTED');
    for (const by of ['payments-api', key.owner]) expect(codeOf(() => change(key, said(by), nowMs))).toBe('OK');
    // It holds the key no longer.
    expect(codeOf(() => change(key, said('reports'), nowMs + 30 * day))).toBe('OK');
  }
  expect(registerData(key, { name: 'reports', by: 'reports' }, nowMs).data).toHaveLength(2);
});

test('so many names, and no more, are registered for one key; what has ended makes room', () => {
  let key = newKey();
  for (let n = 0; n < limits.dataPerKey; n++) key = registerData(key, table(`t${n}`, iso(nowMs + day)), nowMs);
  expect(codeOf(() => registerData(key, table('more'), nowMs))).toBe('ERR_KEY_STATE');
  expect(codeOf(() => registerData(key, table('t3'), nowMs))).toBe('OK');
  expect(registerData(key, table('more'), nowMs + day).data).toHaveLength(1);
});

test('whatever is registered and unregistered, each name is in force as it was said last', () => {
  const step = fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    days: fc.option(fc.integer({ min: 1, max: 9 })),
    off: fc.boolean(),
    later: fc.integer({ min: 0, max: 4 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      let [key, at] = [newKey(), nowMs];
      const said = new Map<string, number>();
      for (const { name, days, off, later } of steps) {
        at += later * day;
        key = off
          ? unregisterData(key, table(name), at)
          : registerData(key, table(name, days === null ? undefined : iso(at + days * day)), at);
        if (off) said.delete(name);
        else said.set(name, days === null ? Number.POSITIVE_INFINITY : at + days * day);
        const inForce = [...said].filter(([, end]) => end > at).map(([one]) => one);
        expect(
          dataInForce(key, at)
            .map((one) => one.name)
            .sort(),
        ).toEqual(inForce.sort());
      }
    }),
  );
});
