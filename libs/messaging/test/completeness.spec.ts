import { expect, test } from '@jest/globals';
import { Completeness } from '../src/completeness';

const record = (id: string, revision: number) => ({ id, revision });
const markOf = (owner: Completeness, revision: number) => ({ id: 'mark', revision, ...owner.read(), asOf: new Date().toISOString() });

test('under steady change a mark is always behind; it is compared with what this copy has passed through', () => {
  const owner = new Completeness();
  const holder = new Completeness();
  for (let n = 0; n < 5; n++) {
    owner.count(record(`k${n}`, 1));
    holder.count(record(`k${n}`, 1));
  }
  const mark = markOf(owner, 1);
  // What changed while the mark was signed lies before it in the bucket.
  holder.count(record('k0', 2));
  holder.count(record('k5', 1));
  holder.offer(mark);
  expect(holder.check()).toBe(true);
});

test('a copy that lacks a record, or has an older one, never passed through what the mark covers', () => {
  const owner = new Completeness();
  for (const r of [record('k0', 1), record('k1', 1), record('k1', 2), record('k2', 1)]) owner.count(r);
  for (const held of [
    [record('k0', 1), record('k1', 2)],
    [record('k0', 1), record('k1', 1), record('k2', 1)],
  ]) {
    const holder = new Completeness();
    for (const r of held) holder.count(r);
    holder.offer(markOf(owner, 1));
    expect(holder.check()).toBe(false);
    expect(holder.lacks()).toBe('does not add up to its mark');
  }
});

test('states are counted after a whole change: a record in place of another never shows its absence', () => {
  const owner = new Completeness();
  owner.count(record('k0', 1));
  const holder = new Completeness();
  for (const r of [record('k0', 1), record('k1', 1), record('k1', 2)]) holder.count(r);
  const without = new Completeness();
  without.count(record('k0', 1));
  without.count(record('k1', 2));
  without.uncount('k0');
  holder.offer(markOf(without, 1));
  expect(holder.check()).toBe(false);
});
