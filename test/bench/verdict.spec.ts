import type { Receipt } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { Tally } from './tally';
import { objections } from './verdict';

const receipt = (index: number): Receipt => ({ ledger: 'AUDIT', worker: 'w-1', epoch: 'e1', seq: 7, index }) as unknown as Receipt;
const refused = { problem: { code: 'ERR_DENIED' } };

test('a refused item of a batch is an error and neither an item nor a request that was done', () => {
  const tally = new Tally();
  tally.measuring = true;
  tally.done('bench-0-1', [{ receipt: receipt(0) }, refused, { receipt: receipt(1) }], 5);
  expect(tally).toMatchObject({ items: 2, latenciesMs: [], errors: { 'item refused: ERR_DENIED': 1 } });
  tally.done('bench-0-2', [{ receipt: receipt(2) }, { receipt: receipt(3) }], 6);
  tally.done('bench-0-3', [{}], 7);
  expect(tally).toMatchObject({ items: 4, latenciesMs: [6], errors: { 'item refused: ERR_DENIED': 1, 'no receipt': 1 } });
});

test('what happens before and after the measured time is no error and no speed of it, but its answers must be in the ledger', () => {
  const tally = new Tally();
  const some = () => {
    tally.done('bench-0-1', [{ receipt: receipt(0) }, refused], 5);
    tally.failed(new Error('the warm-up'));
  };
  some();
  expect(tally).toMatchObject({ items: 0, latenciesMs: [], errors: {} });
  tally.measuring = true;
  some();
  tally.measuring = false;
  some();
  expect(tally).toMatchObject({ items: 1, latenciesMs: [], errors: { 'item refused: ERR_DENIED': 1, unexpected: 1 } });
  expect(tally.answered).toEqual(Array(3).fill('bench-0-1 w-1 e1 7 0'));
});

const exact = { missing: 0, twice: 0 };
test('a run stands when it did something, without an error, and each reply has exactly one record', () => {
  expect(objections([{ name: 'encrypt', requests: 10, errors: {} }], exact)).toEqual([]);
});

test('an error of any load fails the run and is named, and so are a load that did nothing and a ledger that is not exact', () => {
  const load = { name: 'encrypt', requests: 10, errors: {} };
  const failing = { name: 'sign-rsa2048', requests: 3, errors: { ERR_TIMEOUT: 2, unexpected: 1 } };
  expect(objections([load, failing], exact)).toEqual(['sign-rsa2048: ERR_TIMEOUT, 2 times', 'sign-rsa2048: unexpected, 1 times']);
  expect(objections([{ ...load, requests: 0 }], exact)).toEqual(['encrypt: no request was done']);
  for (const ledger of [
    { missing: 1, twice: 0 },
    { missing: 0, twice: 1 },
  ])
    expect(objections([load], ledger)).toEqual([expect.stringContaining('exactly one record')]);
});
