import { Algorithm, algorithms, Classification, Environment, type KeyDescription, usagesOf } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { findingsOf, inventoryChecks, successorsOf } from '../src/inventory-findings';
import { floors } from '../src/inventory-floors';
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

test('each floor is held by what is on it, and by nothing less', () => {
  for (const environment of Environment.options)
    for (const classification of Classification.options) {
      const { strengthBits, said } = floors[environment][classification];
      const told = Object.fromEntries(said.map((name) => [name, 'x']));
      const { team: _, ...bare } = described({ environment, classification });
      const find = (key: KeyDescription) => findingsOf(key, ['non-compliant'], { nowMs }).length;
      expect(find({ ...bare, ...told })).toBe(0);
      for (const name of said) expect(find({ ...bare, ...told, [name]: undefined })).toBe(1);
      const weak = { ...bare, ...told, algorithm: 'RSA_2048' as const, usage: 'sign' as const };
      expect(find(weak)).toBe(strengthBits > 112 ? 1 : 0);
    }
});

test('a restricted production key needs 128 bits, a team and a contact', () => {
  const { team: _, ...bare } = described({ classification: 'restricted', algorithm: 'RSA_2048', usage: 'sign' });
  expect(findingsOf(bare, ['non-compliant'], { nowMs }).map(({ why }) => why)).toEqual([
    'a restricted production key needs 128 bits of strength and RSA_2048 has 112',
    'a restricted production key needs a team, a contact, a description',
  ]);
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
