import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { finishBatch, genesisPrev, isSealLine, LedgerError, MAX_BATCH_BYTES, parseBatch, parseSeal, sealBatch } from '../src/index';
import { chain, newWorker } from './worker-chain';

const record = fc.record({ id: fc.string({ unit: 'grapheme' }), n: fc.integer() }).map((value) => JSON.stringify(value));
const codeOf = (action: () => unknown): string => {
  try {
    action();
    return 'accepted';
  } catch (error) {
    if (error instanceof LedgerError) return error.code;
    throw error;
  }
};
const worker = newWorker();
const position = { ...chain, seq: 0, prev: genesisPrev() };

test('every line of a message is a leaf, byte for byte and without a copy', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 40 }), (records) => {
      const { message, batchHash } = worker.seal(records);
      const batch = parseBatch(message);
      expect(batch.lines.map(String)).toEqual(message.toString().split('\n'));
      expect(batch.lines.slice(0, -1).map(String)).toEqual(records);
      expect(batch.lines.every(({ buffer }) => buffer === message.buffer)).toBe(true);
      expect(batch.seal).toMatchObject({ ...chain, seq: 0, count: records.length });
      expect(batch.batchHash).toEqual(batchHash);
    }),
  );
});

test('the format is the documented one', () => {
  const sealed = sealBatch({ ...position, seq: 7, prev: Buffer.alloc(32, 1) }, ['{"a":1}', '{"b":"é"}']);
  const recordsHash = createHash('sha256').update('{"a":1}\n{"b":"é"}').digest('base64url');
  const text = `{"kind":"batch","service":"crypto-worker","worker":"w1","epoch":"e1","seq":7,"prev":"${'AQEB'.repeat(10)}AQE","count":2,"recordsHash":"${recordsHash}"}`;
  expect(sealed.sealText).toBe(text);
  expect(sealed.toSign).toEqual(createHash('sha256').update(text).digest());
  expect(sealed.batchHash).toEqual(sealed.toSign);
  const message = finishBatch(sealed, Buffer.alloc(64, 2)).toString();
  expect(message).toBe(`{"a":1}\n{"b":"é"}\n${text.slice(0, -1)},"signature":"${Buffer.alloc(64, 2).toString('base64url')}"}`);
  expect(parseBatch(Buffer.from(message)).signedBytes.toString()).toBe(text);
});

test('a record cannot pass for a seal, span lines or be anything but an object', () => {
  const { message } = worker.seal(['{"a":1}']);
  const sealLine = message.toString().split('\n')[1]!;
  for (const line of [
    sealLine,
    '{"kind":"batch","x":1}',
    '{"a":\n1}',
    '',
    'null',
    '[1]',
    '{"a":1} ',
    `{"a":"${'x'.repeat(65_535)}"}`,
    `{"a":"${'é'.repeat(40_000)}"}`,
  ]) {
    expect(codeOf(() => sealBatch(position, [line]))).toBe('ERR_BATCH_FORMAT');
    expect(codeOf(() => parseBatch(Buffer.from(`${line}\n${sealLine}`)))).toBe('ERR_BATCH_FORMAT');
  }
  expect(isSealLine(Buffer.from(sealLine))).toBe(true);
  expect(codeOf(() => sealBatch(position, []))).toBe('ERR_BATCH_FORMAT');
  expect(codeOf(() => sealBatch({ ...position, worker: 'w"1' }, ['{}']))).toBe('ERR_BATCH_FORMAT');
  expect(codeOf(() => finishBatch(sealBatch(position, ['{}']), Buffer.alloc(70)))).toBe('ERR_BATCH_FORMAT');
});

test('a seal has one spelling', () => {
  const sealLine = worker.seal(['{"a":1}']).message.toString().split('\n')[1]!;
  expect(codeOf(() => parseSeal(Buffer.from(sealLine)))).toBe('accepted');
  const others = [
    sealLine.replace('"seq":0', '"seq":00'),
    sealLine.replace('"seq":0', '"seq":-0'),
    sealLine.replace('"seq":0', '"seq":9007199254740993'),
    sealLine.replace('"count":1', '"count":0'),
    sealLine.replace('"count":1', '"count":1e0'),
    sealLine.replace('"seq":0', '"seq": 0'),
    sealLine.replace('"worker":"w1"', '"worker":"w\\u0031"'),
    sealLine.replace('"worker":"w1"', '"worker":"w1","worker":"w2"'),
    `${sealLine} `,
    sealLine.replace('A","count"', 'B","count"'),
    sealLine.replace('}', ',"x":1}'),
  ];
  for (const other of others) {
    expect(other).not.toBe(sealLine);
    expect(codeOf(() => parseSeal(Buffer.from(other)))).toBe('ERR_BATCH_FORMAT');
  }
});

test('caps on bytes and lines hold on both sides', () => {
  const line = '{"a":1}';
  expect(parseBatch(worker.seal(Array(4_999).fill(line)).message).lines.length).toBe(5_000);
  expect(codeOf(() => sealBatch(position, Array(5_000).fill(line)))).toBe('ERR_BATCH_FORMAT');
  expect(codeOf(() => parseBatch(Buffer.from(`${line}\n`.repeat(5_001))))).toBe('ERR_BATCH_FORMAT');
  expect(codeOf(() => parseBatch(Buffer.alloc(MAX_BATCH_BYTES + 1)))).toBe('ERR_BATCH_FORMAT');
  const large = `{"a":"${'x'.repeat(65_000)}"}`;
  expect(codeOf(() => finishBatch(sealBatch(position, Array(65).fill(large)), Buffer.alloc(64)))).toBe('ERR_BATCH_FORMAT');
});

test('hostile messages throw the typed error only', () => {
  const { message } = worker.seal(['{"a":1}']);
  const sealLine = message.toString().split('\n')[1]!;
  const pieces = fc
    .array(fc.constantFrom('\n', '{', '}', '{"a":1}', '{"kind":"batch",', '"seq":', '"', sealLine, '\r', '\u0000'), { maxLength: 10 })
    .map((parts) => Buffer.from(parts.join('')));
  fc.assert(
    fc.property(fc.oneof(pieces, fc.uint8Array({ maxLength: 300 })), (bytes) =>
      ['accepted', 'ERR_BATCH_FORMAT'].includes(codeOf(() => parseBatch(bytes))),
    ),
    { numRuns: 1_000 },
  );
  expect(
    codeOf(() => parseBatch(Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from('"}\n'), Buffer.from(sealLine)]))),
  ).toBe('ERR_BATCH_FORMAT');
});
