import { createPublicKey } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  encodeEpochRecord,
  genesisPrev,
  LedgerError,
  p256PublicKey,
  parseBatch,
  parseEpochRecord,
  verifyBatch,
  verifyEpoch,
} from '../src/index';
import { flipBit } from './memory-log';
import { certifier, chain, newP256, newWorker, spki } from './worker-chain';

const certifiers = new Map([['certifier-1', p256PublicKey(spki(certifier))]]);
const start = { seq: 0, prev: genesisPrev() };

test('given a certified epoch and batches in order, nothing is found', () => {
  const worker = newWorker();
  const first = parseBatch(worker.next([worker.epochLine, '{"n":0}']).message);
  const record = parseEpochRecord(first.lines[0]!);
  expect(verifyEpoch(record, first.seal, certifiers)).toEqual([]);
  const key = p256PublicKey(record.publicKey);
  expect(verifyBatch(first, key, start)).toEqual([]);
  let prev = first.batchHash;
  for (let seq = 1; seq < 5; seq++) {
    const batch = parseBatch(worker.next([`{"n":${seq}}`]).message);
    expect(verifyBatch(batch, key, { seq, prev })).toEqual([]);
    prev = batch.batchHash;
  }
});

test('lost, repeated, old and forked batches are told apart', () => {
  const worker = newWorker();
  const sent = [worker.next([worker.epochLine]), worker.next(['{"n":1}']), worker.next(['{"n":2}']), worker.next(['{"n":3}'])];
  const verify = (message: Buffer, seq: number) =>
    verifyBatch(parseBatch(message), worker.publicKey, { seq, prev: seq === 0 ? genesisPrev() : sent[seq - 1]!.batchHash });
  expect(verify(sent[3]!.message, 2)).toEqual([{ finding: 'gap', seq: 3, expectedSeq: 2 }]);
  expect(verify(sent[2]!.message, 3)).toEqual([{ finding: 'replay', seq: 2 }]);
  expect(verify(sent[0]!.message, 3)).toEqual([{ finding: 'stale', seq: 0, expectedSeq: 3 }]);
  const otherAtLast = worker.seal(['{"n":"other"}'], { seq: 2, prev: sent[1]!.batchHash });
  expect(verify(otherAtLast.message, 3)).toEqual([{ finding: 'fork', seq: 2 }]);
  const otherHistory = worker.seal(['{"n":3}'], { seq: 3, prev: sent[1]!.batchHash });
  expect(verify(otherHistory.message, 3)).toEqual([{ finding: 'fork', seq: 3 }]);
  expect(verify(worker.seal([worker.epochLine], { seq: 0, prev: Buffer.alloc(32, 1) }).message, 0)).toEqual([{ finding: 'fork', seq: 0 }]);
});

test('the epoch record is the first line of seq 0 and nowhere else', () => {
  const worker = newWorker();
  const verify = (lines: string[], at: { seq: number; prev: Buffer }) =>
    verifyBatch(parseBatch(worker.seal(lines, at).message), worker.publicKey, at);
  expect(verify(['{"n":0}'], start)).toEqual([{ finding: 'epoch-missing' }]);
  expect(verify([worker.epochLine, worker.epochLine], start)).toEqual([{ finding: 'epoch-misplaced', line: 1 }]);
  expect(verify(['{"n":1}', worker.epochLine], { seq: 1, prev: Buffer.alloc(32, 1) })).toEqual([{ finding: 'epoch-misplaced', line: 1 }]);
});

test('a record changed, dropped, added or reordered after the seal is found, and nothing else is believed', () => {
  const worker = newWorker();
  const [first, second, seal] = worker.next([worker.epochLine, '{"n":1}']).message.toString().split('\n') as [string, string, string];
  const verify = (lines: string[]) =>
    verifyBatch(parseBatch(Buffer.from(lines.join('\n'))), worker.publicKey, { seq: 9, prev: genesisPrev() });
  expect(verify([first, '{"n":2}', seal])).toEqual([{ finding: 'records-hash' }]);
  expect(verify([second, first, seal])).toEqual([{ finding: 'records-hash' }]);
  expect(verify([first, seal])).toEqual([{ finding: 'records-hash' }, { finding: 'count', claimed: 2, found: 1 }]);
  expect(verify([first, second, second, seal])).toEqual([{ finding: 'records-hash' }, { finding: 'count', claimed: 2, found: 3 }]);
  expect(verify([first, second, seal.replace('"seq":0', '"seq":9')])).toEqual([{ finding: 'bad-signature' }]);
});

test('a seal under a key of its own is a bad signature', () => {
  const batch = parseBatch(newWorker().next([newWorker().epochLine]).message);
  expect(verifyBatch(batch, newWorker().publicKey, start)).toEqual([{ finding: 'bad-signature' }]);
});

test('no single changed bit of a message survives', () => {
  const worker = newWorker();
  const { message } = worker.next([worker.epochLine, '{"n":1}']);
  fc.assert(
    fc.property(fc.nat({ max: message.length * 8 - 1 }), (bit) => {
      try {
        return verifyBatch(parseBatch(flipBit(message, bit)), worker.publicKey, start).length > 0;
      } catch (error) {
        return error instanceof LedgerError;
      }
    }),
    { numRuns: 1_000 },
  );
});

test('a certificate holds for its chain, its key and its certifier only', () => {
  const worker = newWorker();
  const record = parseEpochRecord(Buffer.from(worker.epochLine));
  expect(verifyEpoch(record, { ...chain, epoch: 'e2' }, certifiers)).toEqual([{ finding: 'epoch-of-another-chain', ...chain }]);
  expect(verifyEpoch({ ...record, epoch: 'e2' }, { ...chain, epoch: 'e2' }, certifiers)).toEqual([
    { finding: 'bad-certificate', certifier: 'certifier-1' },
  ]);
  expect(verifyEpoch({ ...record, publicKey: spki(newP256()) }, chain, certifiers)).toEqual([
    { finding: 'bad-certificate', certifier: 'certifier-1' },
  ]);
  expect(verifyEpoch({ ...record, certifier: 'certifier-2' }, chain, certifiers)).toEqual([
    { finding: 'unknown-certifier', certifier: 'certifier-2' },
  ]);
  expect(encodeEpochRecord(record)).toBe(worker.epochLine);
});

test('an epoch record has one spelling, and hostile ones throw the typed error only', () => {
  const { epochLine } = newWorker();
  const mutations = [
    epochLine.replace('"worker"', ' "worker"'),
    epochLine.replace('.678Z', 'Z'),
    epochLine.replace('}', ',"x":1}'),
    '{"kind":"epoch",}',
    `${epochLine}\n`,
  ];
  for (const line of mutations)
    expect(() => parseEpochRecord(Buffer.from(line))).toThrow(expect.objectContaining({ code: 'ERR_EPOCH_FORMAT' }));
  fc.assert(fc.property(fc.uint8Array(), (bytes) => expect(() => parseEpochRecord(Buffer.from(bytes))).toThrow(LedgerError)));
});

test('only an uncompressed P-256 SPKI is a batch key', () => {
  const key = spki(newP256());
  expect(p256PublicKey(key).equals(createPublicKey({ key, format: 'der', type: 'spki' }))).toBe(true);
  // Off the curve, cut off, extended, another kind of key.
  for (const bad of [flipBit(key, 8 * 60), key.subarray(0, 90), Buffer.concat([key, Buffer.alloc(1)]), Buffer.alloc(91), Buffer.alloc(0)]) {
    expect(() => p256PublicKey(bad)).toThrow(expect.objectContaining({ code: 'ERR_PUBLIC_KEY' }));
  }
});
