import { createHash } from 'node:crypto';
import { limits } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { AuditGroupCommit } from '../src/index';
import { type PlainBroker, startPlainBroker } from './plain-broker';

let broker: PlainBroker;
let jsm: JetStreamManager;
let connection: NatsConnection;
let commit: AuditGroupCommit;
let sealed: string[];
let sealFailures = 0;
let subject: string;
let workers = 0;

beforeAll(async () => {
  broker = await startPlainBroker();
  jsm = await jetstreamManager(await broker.connection());
  await jsm.streams.add({ name: 'AUDIT', subjects: ['audit.v1.>'] });
});
afterAll(() => broker.close());
beforeEach(async () => {
  connection = await broker.connection();
  subject = `audit.v1.crypto-worker.w${workers++}`;
  sealed = [];
  sealFailures = 0;
  commit = newCommit();
});
afterEach(async () => {
  await commit.stop(5_000);
  await connection.close();
});

/** Batches as lines, without a signature: what is proven here is when they go out and who is told what. */
const newCommit = () =>
  new AuditGroupCommit(
    connection,
    subject,
    {
      worker: 'w1',
      seal: (lines) => {
        if (sealFailures-- > 0) throw new Error('the token is away');
        const text = lines.join('\n');
        sealed.push(text);
        const seq = sealed.length - 1;
        return {
          bytes: Buffer.from(text),
          batchHash: createHash('sha256').update(text).digest('base64url'),
          epoch: subject,
          seq,
          firstIndex: 0,
        };
      },
    },
    (ids) => ({ id: `unanswered-${ids[0]}`, line: JSON.stringify({ kind: 'unanswered', records: ids }) }),
  );
const line = (id: string, more = {}) => JSON.stringify({ kind: 'operation', id, ...more });
const append = (id: string, more = {}) => commit.append(id, line(id, more));

/** What is stored, in order. */
async function stored(): Promise<string[]> {
  const { state } = await jsm.streams.info('AUDIT');
  const batches: string[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage('AUDIT', { seq });
    if (message?.subject === subject) batches.push(message.string());
  }
  return batches;
}
const idsIn = (batches: string[]) => batches.flatMap((batch) => batch.split('\n')).map((l) => (JSON.parse(l) as { id?: string }).id);
const codes = (settled: PromiseSettledResult<unknown>[]) =>
  settled.map((s) => (s.status === 'fulfilled' ? 'OK' : (s.reason as { code: string }).code));

test('records that arrive together share messages, each exactly once and in order, and each receipt says where its record lies', async () => {
  const ids = Array.from({ length: 500 }, (_, n) => `r${n}`);
  const receipts = await Promise.all(ids.map((id) => append(id)));
  const batches = await stored();
  expect(idsIn(batches)).toEqual(ids);
  expect(batches.length).toBeLessThan(ids.length);
  receipts.forEach(({ worker, epoch, seq, batchHash, index }, n) => {
    const batch = batches[seq] as string;
    expect([worker, epoch, batchHash]).toEqual(['w1', subject, createHash('sha256').update(batch).digest('base64url')]);
    expect(batch.split('\n')[index]).toBe(line(ids[n] as string));
  });
});

test('a batch holds at most so many records and bytes', async () => {
  const filler = 'x'.repeat(40_000);
  await Promise.all(Array.from({ length: 60 }, (_, n) => append(`big${n}`, { filler })));
  await Promise.all(Array.from({ length: 2_500 }, (_, n) => append(`small${n}`)));
  const batches = await stored();
  for (const batch of batches) {
    expect(batch.length).toBeLessThanOrEqual(limits.auditBatchBytes + limits.auditBatchRecords);
    expect(batch.split('\n').length).toBeLessThanOrEqual(limits.auditBatchRecords);
  }
  expect(idsIn(batches)).toHaveLength(2_560);
});

test('a record that no ledger leaf can hold is refused alone: it holds up nobody', async () => {
  const [long, normal] = await Promise.allSettled([append('long', { filler: '€'.repeat(22_000) }), append('normal')]);
  expect([long, normal].map((s) => s?.status)).toEqual(['rejected', 'fulfilled']);
  expect((long as PromiseRejectedResult).reason).toMatchObject({ code: 'ERR_INTERNAL' });
  expect(idsIn(await stored())).toEqual(['normal']);
});

test('while the broker does not answer, callers are told within the bound; then the identical bytes are stored once, nothing overtakes, and who was told is named', async () => {
  const attempts: string[] = [];
  const tap = await broker.connection();
  tap.subscribe(subject, { callback: (_error, m) => void attempts.push(m.string()) });
  await tap.flush();
  await append('before');

  broker.pause();
  const first = append('first');
  const held = [first, append('second')];
  await expect(first).rejects.toMatchObject({ code: 'ERR_AUDIT_UNAVAILABLE', retryable: true });
  expect(commit.available).toBe(false);
  const late = Promise.allSettled([...held, append('late')]);
  expect(codes(await late)).toEqual(['ERR_AUDIT_UNAVAILABLE', 'ERR_AUDIT_UNAVAILABLE', 'ERR_AUDIT_UNAVAILABLE']);
  broker.resume();

  await until(() => commit.available, { what: 'records to become durable again', timeoutMs: 30_000 });
  const after = await append('after');
  const batches = await stored();
  expect(batches).toEqual(sealed);
  expect(batches[after.seq]).toContain(line('after'));
  expect(idsIn(batches).filter((id) => id !== undefined)).toEqual(['before', 'first', 'second', 'late', 'after']);
  const named = batches
    .flatMap((b) => b.split('\n'))
    .map((l) => JSON.parse(l) as { kind: string; records: string[] })
    .filter(({ kind }) => kind === 'unanswered')
    .flatMap(({ records }) => records);
  expect(named.sort()).toEqual(['first', 'late', 'second']);
  // Whatever was sent more than once was the same each time.
  expect(new Set(attempts)).toEqual(new Set(sealed));
  expect(attempts.length).toBeGreaterThan(sealed.length);
});

test('a caller whose record came while the next attempt waits is told within the bound too', async () => {
  sealFailures = 5;
  const settled = await Promise.allSettled([append('a'), append('b')]);
  expect(codes(settled)).toEqual(['ERR_AUDIT_UNAVAILABLE', 'ERR_AUDIT_UNAVAILABLE']);
  // Told while it was still being tried.
  expect(sealed).toEqual([]);
  await until(() => commit.available, { what: 'the token to be back', timeoutMs: 30_000 });
  expect(idsIn(await stored())).toContain('a');
});

test('what waits for a broker that is away is bounded', async () => {
  broker.pause();
  const filler = 'x'.repeat(60_000);
  const settled = Promise.allSettled(Array.from({ length: 400 }, (_, n) => append(`r${n}`, { filler })));
  expect(new Set(codes(await settled))).toEqual(new Set(['ERR_AUDIT_UNAVAILABLE']));
  broker.resume();
  await until(() => commit.available, { what: 'records to become durable again', timeoutMs: 30_000 });
  await commit.drained();
  const kept = idsIn(await stored()).filter((id) => id !== undefined);
  expect(kept.length).toBeGreaterThan(0);
  expect(kept.length * filler.length).toBeLessThan(20 * limits.auditBatchBytes);
});

test('drained means that everything appended before is durable, also while more keeps coming', async () => {
  let going = true;
  let n = 0;
  const load = Array.from({ length: 20 }, async () => {
    while (going) await append(`load${n++}`);
  });
  for (let round = 0; round < 20; round++) {
    let durable = false;
    void append(`mark${round}`).then(() => {
      durable = true;
    });
    await commit.drained();
    await Promise.resolve();
    expect(durable).toBe(true);
  }
  going = false;
  await Promise.all(load);
});

test('stopping stores what was appended, then takes no more', async () => {
  const appended = Promise.all(Array.from({ length: 50 }, (_, n) => append(`r${n}`)));
  await commit.stop(5_000);
  expect(await appended).toHaveLength(50);
  await expect(append('late')).rejects.toMatchObject({ code: 'ERR_SHUTTING_DOWN' });
});

test('what had not gone out when the time to stop was over is told so, although the batch before it is stored after all', async () => {
  broker.pause();
  const inFlight = append('in flight');
  await until(() => sealed.length === 1, { what: 'the first batch to go out' });
  const waiting = append('waiting');
  const told = expect(waiting).rejects.toMatchObject({ code: 'ERR_AUDIT_UNAVAILABLE' });
  await commit.stop(0);
  broker.resume();
  expect(await inFlight).toMatchObject({ seq: 0 });
  await told;
  expect(idsIn(await stored())).toEqual(['in flight']);
});

test('stopping without a broker tells everybody who waits, and does not wait for ever', async () => {
  broker.pause();
  const inFlight = append('in flight');
  const settled = Promise.allSettled([inFlight, ...Array.from({ length: 5 }, (_, n) => append(`waiting${n}`))]);
  await commit.stop(100);
  expect(new Set(codes(await settled))).toEqual(new Set(['ERR_AUDIT_UNAVAILABLE']));
  broker.resume();
});
