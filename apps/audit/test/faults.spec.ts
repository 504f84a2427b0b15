import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Binary, type Db } from 'mongodb';
import { findingRelay } from '../src/finding-relay';
import type { Step } from '../src/fold';
import { LedgerStore } from '../src/ledger-store';
import { LedgerTest, quiet, type RunningLedger, trust } from './ledger-under-test';
import { checkWholeLog } from './whole-log';
import { certifiers, newWorker, record } from './worker';

let t: LedgerTest;
beforeAll(async () => {
  t = await LedgerTest.start();
}, 120_000);
afterAll(() => t?.stop());

/** Batches of a worker, published; gives the last stream sequence. */
async function publish(worker: ReturnType<typeof newWorker>, batches: number, records = 30): Promise<number> {
  let last = 0;
  for (let n = 0; n < batches; n++) last = await t.publish(worker.subject, worker.next(Array.from({ length: records }, () => record())));
  return last;
}
const rootOf = ({ sequencer }: RunningLedger) => sequencer.head!.root.toString('base64url');
const documents = async (db: Db) =>
  JSON.stringify(
    await Promise.all(
      ['entries', 'tiles'].map((name) => db.collection(name).find().project({ term: 0, zstd: 0 }).sort({ _id: 1 }).toArray()),
    ),
  );

test('hostile messages become findings on LEDGER and in the tree, and stop nothing', async () => {
  const db = await t.fresh();
  const audit = await t.ledger(db);
  const worker = newWorker();
  await publish(worker, 1);
  for (const data of ['', 'x', '\n\n\n', '{"kind":"batch",}', 'y'.repeat(3_000_000), '\u0000'.repeat(70_000)])
    await t.publish(worker.subject, Buffer.from(data));
  await t.publish('audit.v1.elsewhere', Buffer.from('{}'));
  const last = await publish(worker, 1);
  await t.settled(audit, last);
  expect(audit.sequencer.head!.findings).toBe(7);
  const { findings } = await checkWholeLog(db, audit.sequencer.head!);
  expect(findings).toEqual([...Array<string>(6).fill('malformed'), 'foreign-subject']);
  const published = await until(
    async () => {
      const { state } = await t.jsm.streams.info('LEDGER', { subjects_filter: '>' });
      return state.subjects?.['ledger.v1.ledger.finding'] === 7 ? state : undefined;
    },
    { what: 'seven findings on LEDGER' },
  );
  expect(published.subjects!['ledger.v1.ledger.checkpoint']).toBeGreaterThan(0);
});

test('a finding that cannot be published keeps the later ones waiting, and is not passed by', async () => {
  const db = await t.fresh();
  const audit = await t.ledger(db);
  const worker = newWorker();
  let last = 0;
  for (let n = 0; n < 3; n++) {
    await t.publish(worker.subject, Buffer.from('x'));
    last = await publish(worker, 1);
  }
  await t.settled(audit, last);
  const { head } = audit.sequencer;
  expect(head?.findings).toBe(3);
  await t.stopLedgers();
  await db.collection('relay').deleteMany({});
  const published: string[] = [];
  let broken = true;
  const finding = async (id: string) => {
    if (broken && published.length === 1) {
      broken = false;
      throw new Error('no broker');
    }
    published.push(id);
  };
  const relay = findingRelay(db, new LedgerStore(db), { finding }, () => head, quiet);
  for (let n = 0; n < 3; n++) await relay.sweep();
  expect(broken).toBe(false);
  expect(published).toHaveLength(3);
  expect(new Set(published).size).toBe(3);
});

test('a crash after any write leaves an identical ledger once it is done again', async () => {
  const crashes: ('writeEntries' | 'writeTiles' | 'writeRetired' | 'moveHead')[] = [
    'writeEntries',
    'writeTiles',
    'writeRetired',
    'moveHead',
  ];
  const worker = newWorker();
  const messages = Array.from({ length: 12 }, () => worker.next(Array.from({ length: 50 }, () => record())));
  let expected: { root: string; documents: string } | undefined;
  for (const at of [undefined, ...crashes]) {
    const db = await t.fresh();
    for (const message of messages) await t.publish(worker.subject, message);
    if (at) {
      const dying = await t.compose(db);
      const original = dying.store[at] as (...args: unknown[]) => Promise<unknown>;
      let reached = false;
      // The write is done and its process gone: nobody learns of it.
      Object.assign(dying.store, {
        [at]: async (...args: unknown[]) => {
          await original.apply(dying.store, args);
          reached = true;
          throw new Error('crashed');
        },
      });
      dying.ledger.start();
      await until(() => reached, { what: `the crash after ${at}` });
      await dying.stop();
    }
    const audit = await t.ledger(db);
    await t.settled(audit, messages.length);
    await checkWholeLog(db, audit.sequencer.head!);
    const now = { root: rootOf(audit), documents: (await documents(db)).replaceAll(/"(time|from|to)":"[^"]*"/g, '') };
    expected ??= now;
    expect(now).toEqual(expected);
  }
});

test('two sequencers share the deliveries, race for the head, and write one log with each record once', async () => {
  const db = await t.fresh();
  const pair = [await t.ledger(db), await t.ledger(db)];
  const workers = [newWorker(), newWorker({ worker: 'w2' }), newWorker({ worker: 'w3' })];
  await Promise.all(workers.map((worker) => publish(worker, 40, 5)));
  for (const audit of pair)
    await until(async () => (await audit.sequencer.refresh()).streamSeq === 120, { what: 'both past the last message', timeoutMs: 30_000 });
  const head = await pair[0]!.sequencer.refresh();
  expect(await checkWholeLog(db, head)).toEqual({ findings: [], records: 3 * (40 * 5 + 1) });
});

test('of two that write the same step one moves the head; the other goes on from there', async () => {
  const db = await t.fresh();
  const worker = newWorker();
  const a = await t.compose(db);
  const b = await t.compose(db);
  await Promise.all([a.sequencer.open(), b.sequencer.open()]);
  await publish(worker, 3);
  await Promise.all([a.sequencer.catchUp(4), b.sequencer.catchUp(4)]);
  expect(rootOf(a)).toBe(rootOf(b));
  expect(a.sequencer.head!.revision).toBe(b.sequencer.head!.revision);
  await checkWholeLog(db, a.sequencer.head!);
});

test('a message deleted from the stream is found; one that is merely delivered elsewhere is waited for or read', async () => {
  const db = await t.fresh();
  const worker = newWorker();
  await publish(worker, 6);
  await t.jsm.streams.deleteMessage('AUDIT', 3, true);
  const audit = await t.ledger(db);
  await t.settled(audit, 6);
  const { findings } = await checkWholeLog(db, audit.sequencer.head!);
  expect(findings).toEqual(['stream-gap', 'gap']);
});

test('messages that the consumer has acknowledged and the store does not hold are read from the stream', async () => {
  const db = await t.fresh();
  const worker = newWorker();
  await publish(worker, 5);
  const consumer = await t.js.consumers.get('AUDIT', 'audit-ledger');
  for (let n = 0; n < 5; n++) await (await consumer.next())!.ackAck();
  const audit = await t.ledger(db);
  expect(audit.sequencer.head!.streamSeq).toBe(5);
  expect((await checkWholeLog(db, audit.sequencer.head!)).findings).toEqual([]);
});

test('a stream that was cut or replaced is found, what comes again is passed over, and appending goes on', async () => {
  const db = await t.fresh();
  const worker = newWorker();
  const messages = Array.from({ length: 5 }, () => worker.next([record()]));
  for (const message of messages) await t.publish(worker.subject, message);
  const before = await t.ledger(db);
  await t.settled(before, 5);
  const size = before.sequencer.head!.edge.size;
  await t.stopLedgers();

  // Restored from a copy that has three of the five; the worker goes on.
  await t.jsm.streams.delete('AUDIT');
  await t.addStream('AUDIT');
  await t.addConsumer();
  for (const message of messages.slice(0, 3)) await t.publish(worker.subject, message);
  const audit = await t.ledger(db);
  await t.publish(worker.subject, worker.next([record()]));
  await t.settled(audit, 4);
  const head = audit.sequencer.head!;
  expect({ life: head.life, streamSeq: head.streamSeq, added: head.edge.size - size }).toEqual({ life: 1, streamSeq: 4, added: 3 });
  expect((await checkWholeLog(db, head)).findings).toEqual(['stream-shorter']);
});

test('another message at a sequence that the ledger holds is found', async () => {
  const db = await t.fresh();
  const worker = newWorker();
  await publish(worker, 2);
  await t.settled(await t.ledger(db), 2);
  await t.stopLedgers();
  await t.jsm.streams.delete('AUDIT');
  await t.addStream('AUDIT');
  await t.addConsumer();
  for (let n = 0; n < 3; n++) await t.publish(worker.subject, Buffer.from(`forged ${n}`));
  const audit = await t.ledger(db);
  await t.settled(audit, 3);
  expect((await checkWholeLog(db, audit.sequencer.head!)).findings).toEqual(['stream-rewritten', 'malformed', 'malformed', 'malformed']);
});

test('a store that is behind the last published checkpoint, or holds other leaves, is refused and stays untouched', async () => {
  const db = await t.fresh();
  const worker = newWorker();
  const audit = await t.ledger(db);
  await t.settled(audit, await publish(worker, 12));
  await until(async () => (await t.jsm.streams.info('LEDGER')).state.messages > 0, { what: 'a published checkpoint' });
  await t.stopLedgers();

  const empty = await t.compose(db.client.db(`${db.databaseName}x`));
  empty.ledger.start();
  await until(() => /holds 0 leaves and the last published checkpoint vouches for \d+/.test(empty.ledger.condition.detail), {
    what: 'the refusal',
  });
  expect(() => empty.ledger.assertOpen()).toThrow(expect.objectContaining({ code: 'ERR_STATE_STALE' }));
  expect((await empty.store.loadHead()).edge.size).toBe(0);

  await db.collection<{ _id: string }>('head').updateOne({ _id: 'log' }, { $set: { 'edge.1': new Binary(Buffer.alloc(32, 7)) } });
  const rewritten = await t.compose(db);
  rewritten.ledger.start();
  await until(() => /not those that the last published checkpoint vouches for/.test(rewritten.ledger.condition.detail), {
    what: 'the refusal',
  });

  for (const forgery of ['{"data":{"checkpoint":"forged\\n9\\nAAAA\\n\\n","size":9,"streamSeq":9}}', 'no event']) {
    await t.publish('ledger.v1.ledger.checkpoint', Buffer.from(forgery));
    const forged = await t.compose(db);
    forged.ledger.start();
    await until(() => /no checkpoint of this log/.test(forged.ledger.condition.detail), { what: 'the refusal' });
  }
});

test('other certifiers begin a new term, and replace what the old ones wrote and never committed', async () => {
  const db = await t.fresh();
  const worker = newWorker();
  await publish(worker, 2);
  const { 'customer-certifier': _, ...fewer } = certifiers;
  const narrow = await t.compose(db, { trust: { ...trust, certifiers: fewer } });
  await narrow.sequencer.open();
  Object.assign(narrow.store, { moveHead: () => Promise.reject(new Error('crashed')) });
  await expect(narrow.sequencer.catchUp(3)).rejects.toThrow('crashed');
  expect(await db.collection('entries').countDocuments({ kinds: 'finding' })).toBe(2);

  const audit = await t.ledger(db);
  await t.settled(audit, 2);
  expect(audit.sequencer.head!.term).toBe(1);
  expect((await checkWholeLog(db, audit.sequencer.head!)).findings).toEqual([]);
  await expect(narrow.sequencer.refresh()).rejects.toThrow('has taken over');
});

test('documents that are written twice are one, and a lower term replaces nothing', async () => {
  const db = await t.fresh();
  const store = new LedgerStore(db);
  await store.prepare('rules');
  const head = await store.loadHead();
  const tile = { level: 0, index: 0 };
  const step = (term: number, fill: number) =>
    ({ head: { ...head, term }, tiles: [{ ...tile, bytes: Buffer.alloc(32, fill) }] }) as unknown as Step;
  for (const [term, fill] of [
    [1, 1],
    [1, 1],
    [0, 2],
  ] as const)
    await store.writeTiles(step(term, fill));
  expect((await store.tiles.findOne({ _id: '0/0' }))?.bytes.buffer[0]).toBe(1);
  await store.writeTiles(step(2, 3));
  expect((await store.tiles.findOne({ _id: '0/0' }))?.bytes.buffer[0]).toBe(3);
});
