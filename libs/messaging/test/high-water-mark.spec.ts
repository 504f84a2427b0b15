import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SetDigest } from '../src/high-water-mark';
import { RevisionSum } from '../src/index';

const records = fc.uniqueArray(fc.record({ id: fc.string({ minLength: 1, maxLength: 8 }), revision: fc.integer({ min: 1, max: 9 }) }), {
  selector: (r) => r.id,
  maxLength: 20,
});
const sumOf = (all: { id: string; revision: number }[]) => {
  const sum = new RevisionSum();
  for (const record of all) sum.add(record);
  return sum.read();
};

test('the order in which records came does not matter', () => {
  fc.assert(fc.property(records, (all) => expect(sumOf([...all].reverse())).toEqual(sumOf(all))));
});

test('adding and removing are inverse', () => {
  fc.assert(
    fc.property(records, records, (kept, gone) => {
      const sum = new RevisionSum();
      for (const record of [...kept, ...gone]) sum.add(record);
      for (const record of gone) sum.remove(record);
      expect(sum.read()).toEqual(sumOf(kept));
    }),
  );
});

test('a lower revision of any one record shows', () => {
  fc.assert(
    fc.property(records, fc.nat(), (all, at) => {
      fc.pre(all.length > 0);
      const old = all.map((r, n) => (n === at % all.length ? { ...r, revision: r.revision - 1 } : r));
      expect(sumOf(old).sum).not.toBe(sumOf(all).sum);
    }),
  );
});

test('an id cannot borrow from its revision', () => {
  expect(sumOf([{ id: 'a|1', revision: 2 }]).sum).not.toBe(sumOf([{ id: 'a', revision: 12 }]).sum);
  expect(sumOf([]).count).toBe(0);
  expect(sumOf([]).sum).toBe('A'.repeat(43));
});

test('the digest is of the set: neither order nor what came and went matters, and each record and revision does', () => {
  const digestOf = (all: { id: string; revision: number }[]) => {
    const digest = new SetDigest();
    for (const record of all) digest.add(record);
    return digest.read();
  };
  fc.assert(
    fc.property(records, records, (kept, gone) => {
      const digest = new SetDigest();
      for (const record of [...kept, ...gone]) digest.add(record);
      for (const record of gone) digest.remove(record);
      expect(digest.read()).toBe(digestOf([...kept].reverse()));
      for (const [i, { id, revision }] of kept.entries()) {
        expect(digestOf(kept.with(i, { id, revision: revision + 1 }))).not.toBe(digest.read());
        expect(digestOf(kept.toSpliced(i, 1))).not.toBe(digest.read());
      }
    }),
    { numRuns: 20 },
  );
});
