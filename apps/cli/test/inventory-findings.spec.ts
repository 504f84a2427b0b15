import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Algorithm, algorithms, type KeyDescription, type KeyProfile, usagesOf } from '@claviger/contracts';
import { workspaceRoot } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import { findingsOf, inventoryChecks, successorsOf } from '../src/inventory-findings';
import { described, destroyedVersion, version } from './keys-described';

const nowMs = Date.parse('2026-06-01T00:00:00.000Z');
const principals = new Map([
  ['kim', { disabled: false }],
  ['gone', { disabled: true }],
]);
const whys = (more: Partial<KeyDescription>, ...checks: typeof inventoryChecks) =>
  findingsOf(described(more), checks, { nowMs, principals }).map(({ check, why }) => `${check}: ${why}`);

test('a key that is in order has no finding', () => {
  expect(whys({}, ...inventoryChecks)).toEqual([]);
});

test('weak is what has less than 128 bits of strength, or what NIST lets protect no more', () => {
  expect(whys({ algorithm: 'RSA_2048', usage: 'sign' }, 'weak')).toEqual([
    'weak: RSA_2048 has 112 bits of strength; NIST lets it protect until 2030-12-31',
  ]);
  expect(whys({ algorithm: 'EC_P256', usage: 'sign' }, 'weak')).toEqual([]);
  const at = (time: string) => findingsOf(described({ algorithm: 'EC_P256', usage: 'sign' }), ['weak'], { nowMs: Date.parse(time) });
  expect(at('2035-12-31T23:59:59.999Z')).toEqual([]);
  expect(at('2036-01-01T00:00:00.000Z')).toMatchObject([{ why: expect.stringContaining('NIST let it protect until 2035-12-31') }]);
});

test('deprecated is exactly what has a last day in the table of algorithms', () => {
  for (const algorithm of Algorithm.options) {
    const found = whys({ algorithm, usage: usagesOf(algorithm)[0] }, 'deprecated');
    expect([algorithm, found.length]).toEqual([algorithm, algorithms[algorithm].protectUntil ? 1 : 0]);
  }
});

test('what comes after a deprecated key does the same and has no end set', () => {
  for (const algorithm of Algorithm.options)
    for (const usage of usagesOf(algorithm)) {
      const successors = successorsOf({ algorithm, usage });
      expect([algorithm, usage, successors.length > 0]).toEqual([algorithm, usage, true]);
      for (const one of successors) expect(algorithms[one].protectUntil).toBeUndefined();
    }
  expect(successorsOf({ algorithm: 'EC_P384', usage: 'sign' })).toEqual(['ML_DSA_87']);
  expect(successorsOf({ algorithm: 'EC_P384', usage: 'agree' })).toEqual(['ML_KEM_1024']);
  expect(successorsOf({ algorithm: 'RSA_3072', usage: 'encrypt' })).toEqual(['ML_KEM_1024']);
});

test('unowned is what belongs to nobody known, to somebody disabled, or to no team', () => {
  const { team: _, ...noTeam } = described();
  expect(whys({ owner: 'nobody' }, 'unowned')).toEqual(['unowned: its owner nobody is no principal of the policies in force']);
  expect(whys({ owner: 'gone' }, 'unowned')).toEqual(['unowned: its owner gone is disabled']);
  expect(findingsOf(noTeam, ['unowned'], { nowMs, principals })).toMatchObject([
    { why: 'no team answers for it', next: expect.stringContaining(`keys update ${noTeam.keyId} --team`) },
  ]);
  // Who the principals are is not known: it is not said of any owner that it is none.
  expect(findingsOf(described({ owner: 'nobody' }), ['unowned'], { nowMs })).toEqual([]);
});

test('a key below a profile is found with the profile, what it asks for, and what to do', () => {
  const file = join(workspaceRoot(), 'deploy/policies/starter/profiles.json');
  const profiles = JSON.parse(readFileSync(file, 'utf8')) as KeyProfile[];
  const { team: _, ...bare } = described({ classification: 'restricted', algorithm: 'RSA_2048', usage: 'sign' });
  const found = (key: KeyDescription) => findingsOf(key, ['non-compliant'], { nowMs, profiles }).map(({ why }) => why);
  expect(found(bare)).toEqual([
    'profile restricted: RSA_2048 is not let in',
    'profile production-confidential: 128 bits of strength are asked for, and RSA_2048 has 112',
    'profile production-restricted: a rotation at least every 90 days is asked for, and nothing ends the use of a version',
    'a restricted production key needs a team, a contact, a description',
  ]);
  const said = { team: 'payments', contact: 'rota', description: 'cards' };
  const good = described({ classification: 'restricted', protectsAtMostDays: 90, ...said });
  expect(found(good)).toEqual([]);
  expect(found({ ...good, protectsAtMostDays: 91 })).toHaveLength(1);
  const [rarely] = findingsOf({ ...good, protectsAtMostDays: 91 }, ['non-compliant'], { nowMs, profiles });
  expect(rarely?.next).toBe(`claviger keys set-rotation ${good.keyId} --every 90d --reason …`);
  // What the policies ask for is not known: nothing is said to be below it.
  expect(findingsOf(bare, ['non-compliant'], { nowMs })).toEqual([]);
});

test('a key in a token whose validation is less than its profile asks for is found; where tokens are not known, nothing is said', () => {
  const profiles: KeyProfile[] = [{ id: 'cards', description: 'x', moduleLevel: 3 }];
  const found = (key: KeyDescription, roots?: string[]) =>
    findingsOf(key, ['non-compliant'], { nowMs, profiles, ...(roots ? { tokens: { records: [], roots } } : {}) });
  expect(found(described(), ['customer'])).toMatchObject([
    { why: expect.stringContaining('profile cards: a module validated at level 3'), next: expect.stringContaining('tokens list') },
  ]);
  const { kekId: _, ...kept } = version({ custody: 'token', token: 'pq' });
  expect(found(described({ versions: [kept] }), ['customer'])).toMatchObject([{ why: expect.stringContaining('token pq has no record') }]);
  expect(found(described())).toEqual([]);
});

test('a key that its owner has not certified for as long as its profile allows is found', () => {
  const profiles: KeyProfile[] = [{ id: 'yearly', description: 'x', recertifyEveryDays: 365 }];
  const found = (more: Partial<KeyDescription>, days: number) =>
    findingsOf(described(more), ['certification-overdue'], { nowMs: Date.parse('2026-03-01T12:00:00.000Z') + days * 86_400_000, profiles });
  expect(found({}, 364)).toEqual([]);
  expect(found({}, 365)).toMatchObject([
    { why: expect.stringContaining('kim never certified it since 2026-03-01'), next: expect.stringContaining('keys certify') },
  ]);
  expect(found({ certified: { at: '2026-12-01T00:00:00.000Z', by: 'kim' } }, 365)).toEqual([]);
});

test('suspended is told with its day, unless the key waits for its deletion', () => {
  const transitions = [
    { to: 'active' as const, at: '2026-03-01T12:00:00.000Z', reason: 'created' },
    { to: 'suspended' as const, at: '2026-04-01T12:00:00.000Z', reason: 's' },
  ];
  const frozen = { suspended: true, versions: [version({ state: 'suspended', transitions })] };
  expect(whys(frozen, 'suspended')).toEqual(['suspended: it is suspended since 2026-04-01T12:00:00.000Z']);
  expect(whys({ ...frozen, deletionAt: '2026-05-01T12:00:00.000Z' }, 'suspended')).toEqual([]);
});

test('of a destroyed key nothing is found', () => {
  const gone = { algorithm: 'RSA_2048', usage: 'sign', owner: 'nobody', suspended: true, versions: [destroyedVersion()] } as const;
  expect(whys({ ...gone, versions: [...gone.versions] }, ...inventoryChecks)).toEqual([]);
});
