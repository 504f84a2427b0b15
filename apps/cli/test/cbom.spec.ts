import {
  Algorithm,
  algorithms,
  type KekDescription,
  type KeyDescription,
  KeyState,
  type KnownToken,
  type TokenDescription,
  usagesOf,
} from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { keyComponents } from '../src/cbom';
import { cbomAlgorithms, nistQuantumSecurityLevel } from '../src/cbom-algorithms';
import { cbomDocument } from '../src/cbom-document';
import { cyclonedxProblems } from './cyclonedx-schema';
import { described, destroyedVersion, version } from './keys-described';

const problems = cyclonedxProblems();
const about = { timestamp: '2026-06-01T00:00:00.000Z', uuid: '3e671687-395b-41f5-a30f-a58921a69b79' };
const kek = {
  ...{ kekId: 'kek_production_internal_1', environment: 'production' as const, classification: 'internal' as const, revision: 1 },
  ...{ rootLabel: 'root', family: 'softhsm', state: 'active' as const },
};
interface Component {
  'bom-ref': string;
  name: string;
  cryptoProperties: {
    assetType: string;
    oid?: string;
    algorithmProperties?: { certificationLevel?: string[] };
    relatedCryptoMaterialProperties?: Record<string, unknown>;
  };
}
async function* stream<T>(items: Iterable<T>) {
  yield* items;
}
async function documentOf(
  keys: KeyDescription[],
  keks: KekDescription[] = [kek],
  tokens: TokenDescription[] = [],
): Promise<{ components: Component[] }> {
  const parts: Buffer[] = [];
  for await (const part of cbomDocument({ keks, tokens, keys: stream(keys) }, about)) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString('utf8')) as { components: Component[] };
}
const everyKind = Algorithm.options.flatMap((algorithm) => usagesOf(algorithm).map((usage) => described({ algorithm, usage })));

test('keys of every algorithm and usage, in every state and custody, are a valid CycloneDX 1.6 document', async () => {
  const states = KeyState.options.map((state) =>
    described({ versions: [state === 'destroyed' ? destroyedVersion() : version({ state })] }),
  );
  const { kekId: _, ...kept } = version({ custody: 'token' });
  const said = described({ description: 'card "numbers" \u2028', contact: 'rota', tags: { 'pci/x': 'yes', empty: '' }, versions: [kept] });
  const document = await documentOf([...everyKind, ...states, said]);
  expect(problems(document)).toEqual([]);
  expect(document).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.6' });
});

test('no keys and no KEKs are a valid document too', async () => {
  expect(problems(await documentOf([], []))).toEqual([]);
});

test('the validator finds what is not in the schema', async () => {
  const document = await documentOf([described()]);
  const broken = JSON.parse(JSON.stringify(document).replace('"state":"active"', '"state":"alive"')) as unknown;
  expect(problems(broken)).not.toEqual([]);
  expect(problems({ ...document, surprise: 1 })).not.toEqual([]);
});

test('whatever people say about a key, the document is valid, and says it', async () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(text, text, text, async (description, team, value) => {
      const document = await documentOf([described({ description, team, tags: { tag: value } })]);
      expect(problems(document)).toEqual([]);
      expect(JSON.stringify(document)).toContain(JSON.stringify(value));
    }),
    { numRuns: 50 },
  );
});

test('every reference names exactly one component, and each component is there once', async () => {
  const { components } = await documentOf([...everyKind, described({ versions: [version(), version({ version: 2 })] })]);
  const refs = components.map((component) => component['bom-ref']);
  expect(new Set(refs).size).toBe(refs.length);
  const named = [...JSON.stringify(components).matchAll(/"algorithmRef":"([^"]+)"/g)].map(([, ref]) => ref);
  expect(named.length).toBeGreaterThan(components.length / 2);
  for (const ref of named) expect(refs).toContain(ref);
});

test('each version is material of its own: its state, dates, size, custody and object identifier', () => {
  const transitions = [
    { to: 'pre-activation' as const, at: '2026-03-01T12:00:00.000Z', reason: 'created' },
    { to: 'active' as const, at: '2026-03-02T12:00:00.000Z', reason: 'a' },
    { to: 'compromised' as const, at: '2026-03-03T12:00:00.000Z', reason: 'c' },
  ];
  const key = described({ versions: [version({ state: 'compromised', transitions }), version({ version: 2 })] });
  const [first, second] = keyComponents(key);
  expect(first).toMatchObject({
    'bom-ref': `key/${key.keyId}/1`,
    version: '1',
    cryptoProperties: {
      assetType: 'related-crypto-material',
      oid: '2.16.840.1.101.3.4.1.46',
      relatedCryptoMaterialProperties: {
        ...{ type: 'secret-key', state: 'compromised', size: 256, id: `${key.keyId}#1`, algorithmRef: 'algorithm/AES_256/encrypt' },
        ...{ creationDate: '2026-03-01T12:00:00.000Z', activationDate: '2026-03-02T12:00:00.000Z', updateDate: '2026-03-03T12:00:00.000Z' },
        securedBy: { mechanism: 'HSM', algorithmRef: 'algorithm/AES_256/wrap' },
      },
    },
  });
  expect(second).toMatchObject({ version: '2', cryptoProperties: { relatedCryptoMaterialProperties: { state: 'active' } } });
  const [gone] = keyComponents(described({ versions: [destroyedVersion()] }));
  expect(gone?.cryptoProperties).not.toHaveProperty('relatedCryptoMaterialProperties.securedBy');
});

test('the table names every algorithm and usage of the contract, each with an object identifier', () => {
  for (const algorithm of Algorithm.options) {
    expect([algorithm, Object.keys(cbomAlgorithms[algorithm]).sort()]).toEqual([algorithm, [...usagesOf(algorithm)].sort()]);
    for (const known of Object.values(cbomAlgorithms[algorithm])) expect(known?.oid).toMatch(/^[0-2](\.\d+)+$/);
    const level = nistQuantumSecurityLevel(algorithm);
    if (algorithms[algorithm].protectUntil) expect(level).toBe(0);
  }
});

test('a hundred thousand keys are written one after another: no more than a page of them is held', async () => {
  let given = 0;
  let written = 0;
  let ahead = 0;
  async function* many() {
    const key = described();
    for (; given < 100_000; given++) yield { ...key, keyId: `k_${String(given).padStart(22, '0')}` };
  }
  for await (const part of cbomDocument({ keks: [], tokens: [], keys: many() }, about)) {
    if (part.includes('related-crypto-material')) written++;
    ahead = Math.max(ahead, given - written);
  }
  expect(written).toBe(100_000);
  expect(ahead).toBeLessThan(2);
});

test('an algorithm has the certification of the tokens that use it; of those without a record it is unknown, and with no record at all nothing is said', async () => {
  const certified = { certificate: '1', level: 3 as const, firmware: ['1'], validUntil: '2099-12-31', status: 'active' as const };
  const token = (
    label: string,
    validation?: KnownToken['validation'],
    state: 'active' | 'expired' | 'unknown' = 'active',
  ): TokenDescription => ({
    ...{ label, root: label === 'customer', validation: { state, why: 'w' }, regions: [], mismatches: [], workers: [], away: [] },
    ...(validation
      ? {
          record: {
            ...{ label, vendor: 'v', model: 'm', firmware: '1', contact: 'c', incidents: { terms: 't', notifyWithinHours: 1 }, validation },
          },
        }
      : {}),
  });
  const { kekId: _, ...kept } = version({ custody: 'token', token: 'pq' });
  const keys = [described({ algorithm: 'AES_256' }), described({ algorithm: 'ED25519', usage: 'sign', versions: [kept] })];
  const levels = async (...tokens: TokenDescription[]) => {
    const document = await documentOf(keys, [], tokens);
    expect(problems(document)).toEqual([]);
    const properties = (ref: string) =>
      document.components.find((one) => one['bom-ref'] === ref)?.cryptoProperties.algorithmProperties?.certificationLevel;
    return [properties('algorithm/AES_256/encrypt'), properties('algorithm/AES_256/wrap'), properties('algorithm/ED25519/sign')];
  };
  const fips = token('customer', { standard: 'FIPS 140-3', ...certified });
  const eal = token('pq', { standard: 'Common Criteria', ...certified, evaluation: 'EAL4+' });
  expect(await levels(fips, eal)).toEqual([['fips140-3-l3'], ['fips140-3-l3'], ['cc-eal4+']]);
  expect(await levels({ ...fips, validation: { state: 'expired', why: 'w' } }, token('pq', undefined, 'unknown'))).toEqual([
    ['none'],
    ['none'],
    ['unknown'],
  ]);
  expect(await levels(token('customer'), token('pq'))).toEqual([undefined, undefined, undefined]);
});
