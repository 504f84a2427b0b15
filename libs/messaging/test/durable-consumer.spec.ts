import { until } from '@claviger/testing';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { AckPolicy, type JetStreamManager, type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { DurableConsumer, PoisonMessage } from '../src/index';
import { listeningLogger, type PlainBroker, startPlainBroker } from './plain-broker';

const name = 'audit-ledger';
const ackWaitMs = 1_000;
let broker: PlainBroker;
let jsm: JetStreamManager;
let publisher: NatsConnection;
let connection: NatsConnection;
let logger: ReturnType<typeof listeningLogger>;
const consumers: DurableConsumer[] = [];

beforeAll(async () => {
  broker = await startPlainBroker();
  publisher = await broker.connection();
  jsm = await jetstreamManager(publisher);
});
afterAll(() => broker.close());
beforeEach(async () => {
  connection = await broker.connection();
  logger = listeningLogger();
  for (const stream of ['AUDIT', 'DEAD']) await jsm.streams.delete(stream).catch(() => undefined);
  await jsm.streams.add({ name: 'AUDIT', subjects: ['audit.v1.>'] });
  await addConsumer();
});
afterEach(async () => {
  await Promise.all(consumers.splice(0).map((c) => c.stop()));
  await connection.close();
});

const addConsumer = () =>
  jsm.consumers.add('AUDIT', { durable_name: name, ack_policy: AckPolicy.All, ack_wait: ackWaitMs * 1_000_000, max_ack_pending: 2_000 });
const addDead = () => jsm.streams.add({ name: 'DEAD', subjects: ['dead.v1.>'] });
const publish = async (count: number, text = (n: number) => `m${n}`) => {
  for (let n = 1; n <= count; n++) await jetstream(publisher).publish('audit.v1.crypto-worker.w1', text(n));
};
async function consume(
  handle: (messages: JsMsg[]) => Promise<void>,
  { maxMessages = 200, by = connection } = {},
): Promise<DurableConsumer> {
  const consumer = new DurableConsumer({ connection: by, stream: 'AUDIT', consumer: name, maxMessages, ackWaitMs, logger, handle });
  consumers.push(consumer);
  await consumer.start();
  return consumer;
}
const info = () => jsm.consumers.info('AUDIT', name);
const acknowledged = (seq: number) => until(async () => (await info()).ack_floor.stream_seq === seq, { what: `${seq} to be acknowledged` });
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n + 1);

test('messages are handled in order, several at once, and acknowledged', async () => {
  const handled: number[] = [];
  const sizes: number[] = [];
  await publish(100);
  await consume(async (messages) => {
    sizes.push(messages.length);
    handled.push(...messages.map((m) => m.seq));
  });
  await acknowledged(100);
  expect(handled).toEqual(upTo(100));
  expect(Math.max(...sizes)).toBeGreaterThan(1);
});

test('nothing is acknowledged before it is handled', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const handing: number[] = [];
  await publish(5);
  await consume(async (messages) => {
    handing.push(...messages.map((m) => m.seq));
    await held;
  });
  await until(() => handing.length > 0, { what: 'the handler' });
  expect((await info()).ack_floor.stream_seq).toBe(0);
  release();
  await acknowledged(5);
});

test('what takes longer than the ack wait is not handled twice, nor out of order', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const handled: number[] = [];
  await publish(60);
  await consume(
    async (messages) => {
      handled.push(...messages.map((m) => m.seq));
      await held;
    },
    { maxMessages: 5 },
  );
  // What was pulled and not taken in yet comes again with the next pull.
  await new Promise((resolve) => setTimeout(resolve, 2.5 * ackWaitMs));
  release();
  await acknowledged(60);
  expect(handled).toEqual(upTo(60));
});

test('a failure is tried again in place: no later message overtakes', async () => {
  let failures = 3;
  const handled: number[] = [];
  await publish(3);
  await consume(async (messages) => {
    if (failures-- > 0) throw new Error('the store is away');
    handled.push(...messages.map((m) => m.seq));
  });
  await publish(3);
  await acknowledged(6);
  expect(handled).toEqual(upTo(6));
  expect(logger.lines.filter((l) => l.includes('the store is away'))).toHaveLength(3);
});

test('a poison message goes to DEAD with its bytes and the reason, once, and everything else is handled', async () => {
  await addDead();
  const handled: string[] = [];
  await publish(10, (n) => (n % 4 === 0 ? `poison ${n}` : `m${n}`));
  await consume(async (messages) => {
    for (const m of messages) if (m.string().startsWith('poison')) throw new PoisonMessage(m.seq, 'not a batch:\nx');
    handled.push(...messages.map((m) => m.string()));
  });
  await acknowledged(10);
  expect(handled).toEqual(['m1', 'm2', 'm3', 'm5', 'm6', 'm7', 'm9', 'm10']);
  const dead = await Promise.all([1, 2].map((seq) => jsm.streams.getMessage('DEAD', { seq })));
  expect(
    dead.map((m) => [m?.subject, m?.string(), m?.header.get('Claviger-Dead-Sequence'), m?.header.get('Claviger-Dead-Reason')]),
  ).toEqual([
    ['dead.v1.AUDIT.audit-ledger', 'poison 4', '4', 'not a batch: x'],
    ['dead.v1.AUDIT.audit-ledger', 'poison 8', '8', 'not a batch: x'],
  ]);
  expect((await jsm.streams.info('DEAD')).state.messages).toBe(2);
});

test('while DEAD cannot be reached a poison message stays where it is; nothing is lost and the consumer lives on', async () => {
  const handled: string[] = [];
  await publish(3, (n) => (n === 2 ? 'poison' : `m${n}`));
  await consume(async (messages) => {
    const poison = messages.find((m) => m.string() === 'poison');
    if (poison) throw new PoisonMessage(poison.seq, 'unreadable');
    handled.push(...messages.map((m) => m.string()));
  });
  await until(() => logger.lines.some((l) => l.includes('cannot be put to DEAD')), { what: 'the attempt' });
  expect((await info()).ack_floor.stream_seq).toBeLessThan(2);
  await addDead();
  await acknowledged(3);
  expect(handled).toEqual(['m1', 'm3']);
});

test('poison that is not in the batch is a failure like any other', async () => {
  let wrong = true;
  await publish(2);
  await consume(async () => {
    if (wrong) {
      wrong = false;
      throw new PoisonMessage(77, 'of another batch');
    }
  });
  await acknowledged(2);
});

test('what a process took along when it was killed comes again, or shows as a gap: it is never passed over unseen', async () => {
  const killed = await broker.connection();
  const taken: number[] = [];
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  await publish(5);
  await consume(
    (messages) => {
      taken.push(...messages.map((m) => m.seq));
      return held;
    },
    { by: killed },
  );
  await until(() => taken.length > 0, { what: 'messages in hand' });
  await killed.close();

  const handled: number[] = [];
  await consume(async (messages) => void handled.push(...messages.map((m) => m.seq)));
  await acknowledged(5);
  expect(handled).toEqual([...handled].sort((x, y) => x - y));
  expect(new Set([...taken, ...handled])).toEqual(new Set(upTo(5)));
  // What it goes on with after its connection is gone settles nothing and ends nothing.
  release();
});

test('no more is pulled than is handled: a slow handler fills no memory', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  await publish(300);
  await consume(() => held, { maxMessages: 10 });
  await until(async () => (await info()).num_ack_pending > 0, { what: 'the first messages' });
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect((await info()).num_ack_pending).toBeLessThanOrEqual(40);
  release();
  await acknowledged(300);
});

test('stopping ends a handler that would be tried again, without acknowledging it', async () => {
  await publish(2);
  const consumer = await consume(async () => {
    throw new Error('for ever');
  });
  await until(() => logger.lines.length >= 6, { what: 'a long pause', timeoutMs: 15_000 });
  await consumer.stop();
  expect((await info()).ack_floor.stream_seq).toBe(0);
});

test('a consumer that was made anew under it is followed again', async () => {
  const handled: string[] = [];
  await publish(2);
  await consume(async (messages) => void handled.push(...messages.map((m) => m.string())));
  await acknowledged(2);
  await jsm.streams.delete('AUDIT');
  await until(() => logger.lines.some((l) => l.includes('opening it again')), { what: 'its end', timeoutMs: 30_000 });
  await jsm.streams.add({ name: 'AUDIT', subjects: ['audit.v1.>'] });
  await addConsumer();
  await publish(1, () => 'new');
  await until(() => handled.includes('new'), { what: 'the first message of the new stream', timeoutMs: 40_000 });
}, 90_000);
