import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  Algorithm,
  algorithms,
  cryptoOperations,
  KeyUsage,
  limits,
  MacAlgorithm,
  PairAlgorithm,
  requestType,
  SignatureScheme,
  schemesOf,
  signatureSchemes,
  usagesOf,
} from '../src/index';

const keyId = `k_${'A'.repeat(22)}`;

test.each(Algorithm.options)('%s: has a use, names that JOSE knows, and no end later than that of its kind', (name) => {
  const { usages, pair, strengthBits, protectUntil } = algorithms[name];
  expect(usagesOf(name).length).toBeGreaterThan(0);
  for (const usage of usagesOf(name)) expect(KeyUsage.options).toContain(usage);
  for (const scheme of usages.sign ?? []) expect(SignatureScheme.options).toContain(scheme);
  for (const mac of usages.mac ?? []) expect(MacAlgorithm.options).toContain(mac);
  expect(strengthBits).toBeGreaterThanOrEqual(112);
  // What a quantum computer breaks has an end (IR 8547).
  expect(protectUntil !== undefined).toBe(pair && !/^(ML|SLH)_/.test(name));
  expect((PairAlgorithm.options as string[]).includes(name)).toBe(pair);
});

test('every scheme belongs to an algorithm, and takes digests of its own hash or a longer one', () => {
  const used = new Set(Algorithm.options.flatMap((name) => schemesOf(name)));
  expect([...used].sort()).toEqual([...SignatureScheme.options].sort());
  const least = { sha256: 32, sha384: 48, sha512: 64 };
  for (const { hash, digestBytes } of Object.values(signatureSchemes)) {
    if (hash) expect(Math.min(...digestBytes)).toBe(least[hash]);
    else expect(digestBytes).toEqual([]);
  }
});

test('every operation on a key takes a batch of its own requests, and nothing that the single request refuses', () => {
  for (const [name, one] of Object.entries(cryptoOperations)) {
    if (name.endsWith('Batch')) continue;
    const batch = Object.entries(cryptoOperations).find(([other]) => other === `${name}Batch`)?.[1];
    expect(batch).toMatchObject({ name: `${one.name}-batch`, action: one.action, retry: one.retry });
  }
  const { request } = cryptoOperations.encryptBatch;
  const item = { keyId, plaintext: 'AA' };
  const accepts = (items: unknown) => request.safeParse({ type: requestType, items }).success;
  expect([accepts([item]), accepts(Array(limits.batchItems).fill(item))]).toEqual([true, true]);
  expect([
    accepts([]),
    accepts(Array(limits.batchItems + 1).fill(item)),
    accepts([{ ...item, type: requestType }]),
    accepts([{ ...item, x: 1 }]),
  ]).toEqual([false, false, false, false]);
});

test('a batch is as long as its answer can be', () => {
  const { request } = cryptoOperations.encryptBatch;
  const plaintext = 'A'.repeat(60_000);
  const fits = (count: number) => request.safeParse({ type: requestType, items: Array(count).fill({ keyId, plaintext }) }).success;
  expect([fits(15), fits(16)]).toEqual([true, false]);
});

test('whatever a data key pair or a signature is asked of, only known algorithms are', () => {
  fc.assert(
    fc.property(fc.string(), (algorithm) => {
      fc.pre(!(PairAlgorithm.options as string[]).includes(algorithm) && !(SignatureScheme.options as string[]).includes(algorithm));
      const type = requestType;
      expect(cryptoOperations.generateDataKeyPair.request.safeParse({ type, keyId, algorithm }).success).toBe(false);
      expect(cryptoOperations.sign.request.safeParse({ type, keyId, message: 'AA', algorithm }).success).toBe(false);
    }),
  );
});
