import { cloudEvent, eventSubject } from '@claviger/contracts';
import { type Broker, openTestStore, startBroker, type TemporaryFolder, type TestStore, temporaryFolder, until } from '@claviger/testing';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { MongoClient } from 'mongodb';
import { AuditWriter } from './audit-writer';
import { publishedAlerts, type RunningDetector, reaches, runDetector, takeAndVanish } from './running-detector';
import { startMs } from './series-of-uses';
import { switchable } from './switchable';

// Four servers and several restarts a test, on a machine that may be busy.
jest.setTimeout(180_000);

let store: TestStore;
let dir: TemporaryFolder;
let broker: Broker;
let worker: NatsConnection;
let provisioner: NatsConnection;
let audit: NatsConnection | undefined;
let write: AuditWriter;
let database: string;
let running: RunningDetector[] = [];
let door: Awaited<ReturnType<typeof switchable>> | undefined;
let round = 0;

beforeAll(async () => {
  store = await openTestStore();
}, 120_000);
afterAll(() => store.stop());

beforeEach(async () => {
  dir = await temporaryFolder('anomaly-detector');
  broker = await startBroker({ dir: dir.path });
  [worker, provisioner] = await Promise.all([broker.connection('crypto-worker'), broker.connection('provisionerCore')]);
  write = new AuditWriter(worker);
  database = store.databaseName(`anomaly_${round++}`);
}, 120_000);
afterEach(async () => {
  await Promise.allSettled(running.map((r) => r.crash()));
  running = [];
  await door?.close();
  door = undefined;
  await Promise.all([worker.close(), provisioner.close(), audit?.close()]);
  audit = undefined;
  await broker.stop();
  await dir.remove();
});

const run = async (options: Parameters<typeof runDetector>[3] = {}, url = store.url) => {
  const one = await runDetector(broker, url, database, options);
  running.push(one);
  return one;
};
const told = (count: number) =>
  until(async () => ((await publishedAlerts(provisioner)).length >= count ? publishedAlerts(provisioner) : undefined), {
    what: `${count} published alerts`,
    timeoutMs: 60_000,
  });
const handful = async (atMs: number) => {
  for (let second = 0; second < 5; second++) await write.uses(atMs + second * 1_000, 1);
};

test('a burst is told on ALERTS with its OCSF finding, once, and is in the store', async () => {
  const detector = await run();
  await handful(startMs);
  await reaches(detector, await write.uses(startMs + 10_000, 2_000));
  const [alert, ...more] = await told(1);
  expect(more).toEqual([]);
  expect(alert).toMatchObject({ detector: 'rate-spike-principal', principal: 'payments-api' });
  expect(await detector.store.list({ limit: 10 })).toEqual([alert]);
  await until(async () => (await detector.store.pending(10)).items.length === 0, { what: 'the outbox to be empty' });
});

test('after a crash nothing is repeated and nothing is lost: neither what no snapshot held, nor what the dead process had in its hands', async () => {
  const first = await run();
  await handful(startMs);
  await reaches(first, await write.uses(startMs + 10_000, 1_000));
  await told(1);
  await first.stop();

  // Acknowledged, but in no snapshot: half of a spike of a second principal.
  const second = await run();
  await reaches(second, await write.uses(startMs + 20_000, 400, { principal: 'reports' }));
  await second.crash();
  // Delivered to a process that dies: the other half. The next acknowledgement passes over it.
  await write.uses(startMs + 20_000, 400, { principal: 'reports' });
  await takeAndVanish(broker, 4);

  const third = await run();
  await reaches(third, await write.uses(startMs + 30_000, 1));
  const alerts = await told(2);
  expect(alerts.map((a) => a.principal)).toEqual(['payments-api', 'reports']);
  await third.stop();

  const fourth = await run();
  await reaches(fourth, await write.uses(startMs + 40_000, 1));
  expect(await publishedAlerts(provisioner)).toEqual(alerts);
  expect(await fourth.store.list({ limit: 10 })).toHaveLength(2);
});

test('killed between storing an alert and publishing it: the next process publishes it, once', async () => {
  const first = await run({ publishes: false });
  await handful(startMs);
  const last = await write.uses(startMs + 10_000, 1_000);
  await reaches(first, last);
  await until(async () => (await first.store.list({ limit: 1 })).length === 1, { what: 'the alert to be stored' });
  await first.crash();
  expect(await publishedAlerts(provisioner)).toEqual([]);

  const second = await run();
  await reaches(second, last);
  await until(async () => (await told(1)) && (await second.store.pending(10)).items.length === 0, { what: 'the outbox to be empty' });
  expect(await publishedAlerts(provisioner)).toHaveLength(1);
});

test('with no snapshot, or one that is broken, the baselines are rebuilt from AUDIT and nothing is told again', async () => {
  const first = await run();
  await handful(startMs);
  const last = await write.uses(startMs + 10_000, 1_000);
  await reaches(first, last);
  await told(1);
  await first.stop();
  const client = new MongoClient(store.url);
  await client
    .db(database)
    .collection('snapshots')
    .updateMany({}, { $set: { text: '{}' } });
  await client.close();

  const second = await run();
  await reaches(second, last);
  expect(second.detector.series()).toEqual({ principals: 1, keys: 0 });
  expect(second.detector.folded.records).toBe(1_005);
  expect(await publishedAlerts(provisioner)).toHaveLength(1);
});

test('two at once: both see everything, each alert is told once, and the snapshot is of one of them', async () => {
  const both = await Promise.all([run({ snapshotSeconds: 1 }), run({ snapshotSeconds: 1 })]);
  for (const one of both) await reaches(one, 0);
  await handful(startMs);
  await write.uses(startMs + 10_000, 1_000);
  for (let n = 0; n < 50; n++) await write.uses(startMs + 12_000 + n * 10, 1);
  const last = await write.uses(startMs + 20_000, 1_000, { principal: 'reports' });
  await until(async () => Math.max(...both.map((b) => b.detector.audit.position)) >= last, { what: 'the last message to be folded' });
  expect((await told(2)).map((a) => a.principal)).toEqual(['payments-api', 'reports']);
  await Promise.all(both.map((b) => b.stop()));
  const third = await run();
  await reaches(third, last);
  expect(await publishedAlerts(provisioner)).toHaveLength(2);
});

test('while the store is away, before the start and later, alerts wait; none is lost when it is back', async () => {
  door = await switchable(store.url);
  const detector = await run({}, door.url);
  await handful(startMs);
  await write.uses(startMs + 10_000, 1_000);
  await until(() => detector.detector.audit.state === 'waiting', { what: 'it to wait' });
  await door.open();
  await told(1);
  await door.close();
  const last = await write.uses(startMs + 20_000, 1_000, { principal: 'reports' });
  // The sixth batch of a hundred passes the limit; there it stays until the alert is stored.
  await reaches(detector, last - 4);
  await door.open();
  await reaches(detector, last);
  expect((await told(2)).map((a) => a.principal)).toEqual(['payments-api', 'reports']);
  await detector.stop();
});

test('a finding of the ledger is a critical alert, told once over restarts', async () => {
  audit = await broker.connection('audit');
  const js = jetstream(audit);
  const finding = cloudEvent('io.claviger.ledger.finding', {
    id: 'f-1',
    source: '/claviger/audit',
    time: new Date(startMs).toISOString(),
    data: { finding: 'gap', detail: 'batch 7 is missing', streamSeq: 12, index: 340, worker: 'w-1' },
  });
  const publish = (body: string) => js.publish(eventSubject('io.claviger.ledger.finding'), body);
  await publish('not an event');
  await publish(JSON.stringify(finding));
  const first = await run();
  expect(await told(1)).toMatchObject([{ detector: 'ledger-finding', severity: 'critical' }]);
  await first.crash();
  const { seq } = await publish(JSON.stringify({ ...finding, id: 'f-2' }));
  const second = await run();
  await until(() => second.detector.ledger.position >= seq, { what: 'the second finding' });
  expect(await told(2)).toHaveLength(2);
});
