import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Entry, fold, type Recalled } from '../src/fold';
import { emptyHead, type Head, maxActiveChains } from '../src/head';
import type { StreamMessage } from '../src/stream-message';
import { rules } from './whole-log';
import { certifierPairs, newWorker, record, streamOf, timeAt } from './worker';

/** Deep equality of buffers is slow in Jest. */
const digest = (value: unknown): string => createHash('sha256').update(JSON.stringify(value)).digest('hex');

const nothing: Recalled = { chains: [], batches: new Map() };
const run = (messages: readonly StreamMessage[], head: Head = emptyHead('rules')) => fold(head, messages, rules, nothing);
const foundIn = (entries: readonly Entry[]): string[] =>
  entries.flatMap(({ bytes, findings }) => bytes.toString().split('\n').slice(0, findings)).map((line) => JSON.parse(line).finding);
/** The findings of one message after a good first batch of a worker. */
function after(make: (worker: ReturnType<typeof newWorker>) => { data: Uint8Array; subject?: string }) {
  const worker = newWorker();
  const first = worker.next([record()]);
  const { data, subject = worker.subject } = make(worker);
  const step = run(
    streamOf([
      { subject: worker.subject, data: first },
      { subject, data },
    ]),
  );
  return { found: foundIn(step.entries), count: step.entries[1]!.count, step };
}

test('a batch in order is appended line by line, with what can be asked of it', () => {
  const trace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const worker = newWorker();
  const data = worker.next([record({ principal: 'p-1' }), record({ outcome: 'denied', trace })]);
  const { entries, head, sampled } = run(streamOf([{ subject: worker.subject, data }]));
  expect(entries[0]).toMatchObject({
    count: 4,
    findings: 0,
    principals: ['p-1', 'payments-api'],
    outcomes: ['success', 'denied'],
    kinds: ['epoch', 'operation'],
  });
  expect(entries[0]!.traces).toEqual(['a'.repeat(32)]);
  expect(sampled).toEqual([trace]);
  expect(head.edge.size).toBe(4);
  expect(entries[0]!.bytes).toEqual(data);
});

test('whatever is no genuine batch becomes a finding instead, and the chain goes on after it', () => {
  const stranger = newWorker();
  const hostile: [string, Parameters<typeof after>[0]][] = [
    ['malformed', () => ({ data: Buffer.alloc(0) })],
    ['malformed', () => ({ data: randomBytes(5_000) })],
    ['malformed', () => ({ data: Buffer.from('not json\nneither') })],
    ['malformed', () => ({ data: Buffer.alloc(5 * 1024 * 1024, 'x') })],
    ['foreign-subject', (w) => ({ data: w.next([record()]), subject: 'audit.v1.crypto-worker' })],
    ['foreign-subject', (w) => ({ data: w.next([record()]), subject: 'audit.v1.crypto-worker.w1.more' })],
    ['wrong-subject', (w) => ({ data: w.next([record()]), subject: 'audit.v1.crypto-worker.w9' })],
    ['wrong-subject', (w) => ({ data: w.next([record()]), subject: 'audit.v1.policy.w1' })],
    ['records-hash', (w) => ({ data: Buffer.from(w.next([record()]).toString().replace('payments-api', 'payments-apj')) })],
    ['bad-signature', (w) => ({ data: Buffer.from(w.next([record()]).toString().replace('"seq":1', '"seq":2')) })],
    ['fork', (w) => ({ data: w.seal([record()], { seq: 1, prev: randomBytes(32) }).bytes })],
    ['fork', (w) => ({ data: w.seal([w.epochLine, record()], { seq: 0, prev: Buffer.alloc(32) }).bytes })],
    ['epoch-misplaced', (w) => ({ data: w.seal([w.epochLine], w.place()).bytes })],
    ['unknown-epoch', () => ({ data: stranger.seal([record()], { seq: 3, prev: randomBytes(32) }).bytes })],
    ['epoch-missing', () => ({ data: stranger.seal([record()], { seq: 0, prev: Buffer.alloc(32) }).bytes })],
    ['bad-certificate', () => ({ data: newWorker({ certifiedBy: certifierPairs['control-certifier']! }).next([record()]) })],
    ['unknown-certifier', () => ({ data: newWorker({ certifier: 'nobody' }).next([record()]) })],
    ['certifier-not-allowed', () => ({ data: newWorker({ certifier: 'control-certifier' }).next([record()]) })],
  ];
  for (const [finding, make] of hostile) {
    const { found, count, step } = after(make);
    expect({ finding: found, count }).toEqual({ finding: [finding], count: 1 });
    expect(step.entries[1]!.bytes.toString()).toContain('SHA-256');
  }
});

test('a crypto-worker cannot write as policy, whatever its token certifies', () => {
  const data = newWorker({ service: 'policy', worker: 'p1' }).next([record()]);
  expect(foundIn(run(streamOf([{ subject: 'audit.v1.policy.p1', data }])).entries)).toEqual(['certifier-not-allowed']);
});

test('a lost batch is found and the next one, which is genuine, is appended', () => {
  const { found, count } = after((w) => {
    w.next([record()]);
    return { data: w.next([record()]) };
  });
  expect({ found, count }).toEqual({ found: ['gap'], count: 3 });
});

test('a batch that comes again is passed over, be it the last one or an older one', () => {
  const worker = newWorker();
  const sent = [worker.next([record()]), worker.next([record()]), worker.next([record()])].map((data) => ({
    subject: worker.subject,
    data,
  }));
  const { entries, head, replays } = run(streamOf([...sent, sent[2]!, sent[0]!]));
  expect(foundIn(entries)).toEqual([]);
  expect(entries.map(({ count }) => count)).toEqual([3, 2, 2, 0, 0]);
  expect({ size: head.edge.size, replays }).toEqual({ size: 7, replays: 2 });
});

test('a batch that was held back is found, and so is the hole that it left', () => {
  const worker = newWorker();
  const [a, b, c] = [worker.next([record()]), worker.next([record()]), worker.next([record()])].map((data) => ({
    subject: worker.subject,
    data,
  })) as never as [never, never, never];
  expect(foundIn(run(streamOf([a, c, b])).entries)).toEqual(['gap', 'stale']);
});

test('a clock that runs backwards and unreadable records are found in addition to the batch', () => {
  const back = after((w) => ({
    data: w.next([record({ time: timeAt(500_000) }), record({ time: timeAt(498_000) }), record({ time: timeAt(499_500) })]),
  }));
  expect(back.found).toEqual(['clock-backwards']);
  expect(back.count).toBe(5);
  const unreadable = after((w) => ({ data: w.next(['{"not json}', '{}', record()]) }));
  expect(unreadable.found).toEqual(['unreadable-record']);
  expect(unreadable.count).toBe(5);
});

test('messages missing in the stream are found before the message that shows it', () => {
  const worker = newWorker();
  const [first, second] = streamOf(
    [worker.next([record()]), worker.next([record()])].map((data) => ({ subject: worker.subject, data })),
    3,
  );
  const { entries } = run([first!, { ...second!, seq: 9 }]);
  expect(foundIn(entries)).toEqual(['stream-gap', 'stream-gap']);
  expect(entries[1]!.bytes.toString()).toContain('5 messages from 4 on');
});

test('however messages are portioned, the same entries, tiles and head come out', () => {
  const workers = [newWorker(), newWorker({ worker: 'w2' })];
  const messages = Array.from({ length: 30 }, (_, n) => {
    const worker = workers[n % 2]!;
    const data = n % 7 === 6 ? randomBytes(100) : worker.next(Array.from({ length: 30 }, () => record()));
    return { subject: worker.subject, data };
  });
  const stream = streamOf(messages);
  const whole = run(stream);
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 29 }), { maxLength: 6 }), (cuts) => {
      const bounds = [0, ...cuts.sort((a, b) => a - b), stream.length];
      let head = emptyHead('rules');
      const entries: Entry[] = [];
      const tiles: unknown[] = [];
      for (let n = 0; n + 1 < bounds.length; n++) {
        const step = run(stream.slice(bounds[n], bounds[n + 1]), head);
        head = step.head;
        entries.push(...step.entries);
        tiles.push(...step.tiles);
      }
      expect(digest({ ...head, revision: 0 })).toBe(digest({ ...whole.head, revision: 0 }));
      expect(digest(entries)).toBe(digest(whole.entries));
      expect(tiles.map(digest).sort()).toEqual(whole.tiles.map(digest).sort());
    }),
    { numRuns: 20 },
  );
});

test('the head holds a bounded number of chains; one that left it is asked of the store', () => {
  const workers = Array.from({ length: maxActiveChains + 1 }, (_, n) => newWorker({ worker: `w${n}` }));
  const begun = workers.map((w) => ({ subject: w.subject, data: w.next([record()]) }));
  const { head, retired } = run(streamOf(begun));
  expect(head.chains).toHaveLength(maxActiveChains);
  expect(retired.map(({ chain }) => chain)).toEqual([`crypto-worker/w0/${workers[0]!.chain.epoch}`]);
  const again = streamOf([{ subject: workers[0]!.subject, data: workers[0]!.next([record()]) }], head.streamSeq + 1);
  expect(foundIn(fold(head, again, rules, nothing).entries)).toEqual(['unknown-epoch']);
  expect(foundIn(fold(head, again, rules, { ...nothing, chains: retired }).entries)).toEqual([]);
});
