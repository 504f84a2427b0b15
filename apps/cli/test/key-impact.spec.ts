import type { KeyDescription } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { addImpact, noImpact } from '../src/key-impact';
import { linesOf, treeOf } from '../src/key-tree';
import { described, destroyedVersion, version } from './keys-described';

const impactOf = (keys: KeyDescription[], under?: string) => {
  const impact = noImpact();
  for (const key of keys) addImpact(impact, key, under);
  return impact;
};
const other = 'kek_production_internal_2';

test('what is encrypted is lost or read, what is signed is forged and no more signed, what is authenticated is neither told from a forgery', () => {
  expect(impactOf([described({ versions: [version(), version({ version: 2 })] })])).toMatchObject({
    keys: 1,
    versions: 2,
    ifLost: { unreadable: 2, noMoreSignatures: 0 },
    ifCompromised: { readable: 2, forgeable: 0 },
  });
  expect(impactOf([described({ usage: 'sign', algorithm: 'EC_P256' })])).toMatchObject({
    ifLost: { unreadable: 0, noMoreSignatures: 1, unverifiable: 0 },
    ifCompromised: { readable: 0, forgeable: 1 },
  });
  expect(impactOf([described({ usage: 'mac', algorithm: 'HMAC_SHA_256' })])).toMatchObject({
    ifLost: { unverifiable: 1 },
    ifCompromised: { forgeable: 1 },
  });
});

test('of a KEK only those versions count that it wraps, and no key is counted that has none', () => {
  const both = described({ versions: [version(), version({ version: 2, kekId: other })] });
  const elsewhere = described({ versions: [version({ kekId: other })], consumers: ['far'] });
  expect(impactOf([both, elsewhere], 'kek_production_internal_1')).toMatchObject({
    keys: 1,
    versions: 1,
    consumers: { 'payments-api': 1 },
  });
  expect(impactOf([both, elsewhere], other)).toMatchObject({ keys: 2, versions: 2, consumers: { 'payments-api': 1, far: 1 } });
});

test('nothing can be lost of what is destroyed', () => {
  expect(impactOf([described({ versions: [destroyedVersion()] })])).toEqual(noImpact());
});

test('of a compromised version it is said who must do what, since when, and with which version', () => {
  const transitions = [
    { to: 'active' as const, at: '2026-03-01T12:00:00.000Z', reason: 'created' },
    { to: 'compromised' as const, at: '2026-04-01T12:00:00.000Z', reason: 'c' },
  ];
  const leaked = version({ state: 'compromised', transitions });
  const rotated = described({ versions: [leaked, version({ version: 2 })], primaryVersion: 2 });
  expect(impactOf([rotated]).compromised).toEqual([
    {
      ...{ keyId: rotated.keyId, name: rotated.name, version: 1, at: '2026-04-01T12:00:00.000Z', consumers: ['payments-api'] },
      ...{ replacedBy: 2, mustDo: 're-encrypt what they encrypted or sealed with it' },
    },
  ]);
  expect(impactOf([described({ versions: [leaked] })]).compromised).toMatchObject([{ replacedBy: undefined }]);
});

test('every version stands in the tree once, under what it is wrapped by', () => {
  const kek = (kekId: string, rootLabel = 'root') => ({
    ...{
      kekId,
      rootLabel,
      family: 'softhsm',
      environment: 'production' as const,
      classification: 'internal' as const,
      revision: 1,
      state: 'active' as const,
    },
  });
  const place = fc.constantFrom('kek_production_internal_1', other, 'kek_not_listed_1', 'token', 'destroyed');
  fc.assert(
    fc.property(fc.array(fc.array(place, { minLength: 1, maxLength: 4 }), { maxLength: 6 }), fc.boolean(), (keys, listed) => {
      const at = (where: string, n: number) => {
        if (where === 'destroyed') return { ...destroyedVersion(), version: n + 1 };
        const { kekId: _, ...inToken } = version({ version: n + 1, custody: 'token' });
        return where === 'token' ? inToken : version({ version: n + 1, kekId: where });
      };
      const described_ = keys.map((places) => described({ versions: places.map(at) }));
      const tree = treeOf(listed ? [kek('kek_production_internal_1'), kek(other, 'root-2')] : undefined, described_);
      const lines = [...linesOf(tree)];
      const versions = lines.filter((line) => /─ version \d/.test(line));
      expect(versions).toHaveLength(keys.flat().length);
      // The KEK, or the group, that each stands under.
      const stands: string[] = [];
      let parent = '';
      for (const line of lines) {
        const [, named] = /─ (KEK \S+|in a token|destroyed)/.exec(line) ?? [];
        if (named) parent = named.replace('KEK ', '').replace('in a token', 'token');
        if (/─ version \d/.test(line)) stands.push(parent);
      }
      expect(stands.sort()).toEqual(keys.flat().sort());
    }),
  );
});

test('a tree reads as one', () => {
  const keks = [
    {
      kekId: 'kek_production_internal_1',
      environment: 'production' as const,
      classification: 'internal' as const,
      revision: 1,
      state: 'active' as const,
      rootLabel: 'root',
      family: 'f',
    },
  ];
  const key = described({ versions: [version({ state: 'deactivated' }), version({ version: 2 })], primaryVersion: 2 });
  expect([...linesOf(treeOf(keks, [key]))]).toEqual([
    '└─ root root (f)',
    '   └─ KEK kek_production_internal_1 (production, internal)',
    `      └─ ${key.name} ${key.keyId} AES_256 encrypt`,
    '         ├─ version 1 deactivated',
    '         └─ version 2 active (primary)',
  ]);
  const { rootLabel: _, family: __, ...gone } = { ...keks[0]!, kekId: 'kek_production_internal_0', state: 'destroyed' as const };
  expect([...linesOf(treeOf([{ ...keks[0]!, state: 'retiring' as const }, gone], []))]).toEqual([
    '├─ root root (f)',
    '│  └─ KEK kek_production_internal_1 (production, internal, retiring)',
    '└─ destroyed KEKs: the record is left',
    '   └─ KEK kek_production_internal_0 (production, internal, destroyed)',
  ]);
  expect([...linesOf(treeOf(undefined, [key]))][0]).toContain('you may not list KEKs');
});
