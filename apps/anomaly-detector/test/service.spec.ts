import { join } from 'node:path';
import type { Alert } from '@claviger/contracts';
import { p256PublicKey, parseBatch, parseEpochRecord, verifyBatch, verifyEpoch } from '@claviger/ledger';
import { importTrustedKeys } from '@claviger/messaging';
import {
  type Broker,
  type Child,
  openTestStore,
  startBroker,
  type TemporaryFolder,
  type TestStore,
  temporaryFolder,
  until,
} from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { MongoClient } from 'mongodb';
import type { AlertEvent } from '../src/alert-event';
import { AuditWriter } from './audit-writer';
import { ServiceUnderTest } from './service-under-test';

let dir: TemporaryFolder;
let store: TestStore;
let broker: Broker;
let service: ServiceUnderTest;
let child: Child;
let healthUrl: string;
let caller: Awaited<ReturnType<ServiceUnderTest['caller']>>;
let database: string;

beforeAll(async () => {
  [dir, store] = await Promise.all([temporaryFolder('anomaly-service'), openTestStore(), ServiceUnderTest.build()]);
  broker = await startBroker({ dir: dir.path });
  database = store.databaseName('anomaly');
  service = new ServiceUnderTest(broker, dir.path, { MONGODB_URL: store.url, MONGODB_DATABASE: database });
  await service.admit({ sam: ['security-officer'], payments: ['application'] });
  child = await service.start();
  const [, port] = await child.waitForLog(/takes requests; health on port (\d+)/);
  healthUrl = `http://127.0.0.1:${port}`;
  await child.waitForLog(/detection follows AUDIT/);
  caller = await service.caller();
}, 180_000);
afterAll(async () => {
  await service?.stop();
  await caller?.connection.close();
  await child?.kill9();
  await broker?.stop();
  await store?.stop();
  await dir?.remove();
});

const result = <T>(reply: unknown) => (reply as { result: T }).result;
const code = (reply: unknown) => (reply as { problem?: { code: string } }).problem?.code;

test('a variable that is missing or wrong stops it at once, and is named', async () => {
  for (const [env, said] of [
    [{ MONGODB_URL: '' }, 'MONGODB_URL is not set'],
    [{ RATE_SPIKE_MIN_PER_SECOND: 'many' }, 'RATE_SPIKE_MIN_PER_SECOND must be a whole number'],
    [{ SNAPSHOT_SECONDS: '0' }, 'SNAPSHOT_SECONDS must be at least 1'],
    [{ TRUST_FILE: join(dir.path, 'none') }, 'TRUST_FILE'],
  ] as const) {
    const refused = await service.start(env);
    expect((await refused.exited).code).toBe(78);
    expect(refused.logs()).toContain(said);
  }
});

test('a burst becomes an alert that CLIENTS hear; an officer lists and acknowledges it, an application may not', async () => {
  const heard: AlertEvent[] = [];
  caller.connection.subscribe('alerts.v1.>', { callback: (_error, m) => void heard.push(m.json()) });
  await caller.connection.flush();
  const worker = await broker.connection('crypto-worker');
  await new AuditWriter(worker).uses(Date.now(), 3_000);
  await worker.close();
  await until(() => heard.length > 0, { what: 'the alert' });
  expect(heard[0]).toMatchObject({ type: 'io.claviger.alert.raised', data: { ocsf: { class_uid: 2004, severity_id: 4 } } });

  const listed = await caller.ask('sam', 'list');
  const { alerts } = result<{ alerts: Alert[] }>(listed);
  expect(listed.receipt?.worker).toMatch(/^ad-/);
  expect(alerts).toEqual([heard[0]?.data.alert]);
  const { alertId } = alerts[0] as Alert;
  expect(code(await caller.ask('payments', 'list'))).toBe('ERR_ACCESS_DENIED');
  expect(code(await caller.ask('payments', 'acknowledge', { alertId, note: 'hide it' }))).toBe('ERR_ACCESS_DENIED');

  const acknowledged = await caller.ask('sam', 'acknowledge', { alertId, note: 'load test' });
  expect(result<Alert>(acknowledged)).toMatchObject({ alertId, status: 'acknowledged', acknowledgedBy: 'sam', note: 'load test' });
  expect(result(await caller.ask('sam', 'acknowledge', { alertId, note: 'again' }))).toEqual(result(acknowledged));
  // The event of before may come once more, under its own id: it is taken out of the document only after it was published.
  await until(() => heard.some(({ type }) => type === 'io.claviger.alert.acknowledged'), { what: 'the event of the acknowledgement' });
  expect(result(await caller.ask('sam', 'list', { status: 'open' }))).toEqual({ alerts: [] });
});

test('bad input is answered with a code, and the next request is answered', async () => {
  for (const [verb, input, expected] of [
    ['acknowledge', { alertId: 'al_none', note: '' }, 'ERR_NOT_FOUND'],
    ['acknowledge', { alertId: { $gt: '' }, note: '' }, 'ERR_MALFORMED_REQUEST'],
    ['list', { limit: 1e9 }, 'ERR_MALFORMED_REQUEST'],
    ['list', { more: 1 }, 'ERR_MALFORMED_REQUEST'],
    ['list', '{', 'ERR_MALFORMED_REQUEST'],
    ['erase', {}, 'ERR_UNKNOWN_OPERATION'],
  ] as const)
    expect(code(await caller.ask('sam', verb, input))).toBe(expected);
  expect(code(await caller.ask('nobody', 'list'))).toBe('ERR_SESSION_UNKNOWN');
  expect(result(await caller.ask('sam', 'list'))).toHaveProperty('alerts');
});

test('each reply has exactly one record, at its receipt, in a chain that verifies', async () => {
  const replies = await Promise.all(['sam', 'payments', 'nobody'].map((principal) => caller.ask(principal, 'list')));
  const provisioner = await broker.connection('provisionerCore');
  const jsm = await jetstreamManager(provisioner);
  const { state } = await jsm.streams.info('AUDIT');
  const certifiers = importTrustedKeys(broker.installation.trust.certifiers);
  let expected: { seq: number; prev: Buffer } = { seq: 0, prev: Buffer.alloc(32) };
  let key: ReturnType<typeof p256PublicKey> | undefined;
  const places = new Map<string, { kind: string; principal?: string; outcome?: string }>();
  for (let seq = 1; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage('AUDIT', { seq });
    if (!message?.subject.startsWith('audit.v1.anomaly-detector.')) continue;
    const batch = parseBatch(message.data);
    if (batch.seal.seq === 0) {
      const epoch = parseEpochRecord(batch.lines[0] as Buffer);
      expect(verifyEpoch(epoch, batch.seal, certifiers)).toEqual([]);
      expect(epoch.certifier).toBe('detection-certifier');
      key = p256PublicKey(epoch.publicKey);
    }
    expect(verifyBatch(batch, key as ReturnType<typeof p256PublicKey>, expected)).toEqual([]);
    expected = { seq: batch.seal.seq + 1, prev: batch.batchHash };
    batch.lines.forEach((line, index) => {
      const record = JSON.parse(line.toString());
      if (record.kind === 'operation') places.set(`${batch.batchHash.toString('base64url')}.${index}`, record);
    });
  }
  expect(replies.map(({ receipt }) => places.get(`${receipt?.batchHash}.${receipt?.index}`))).toMatchObject([
    { principal: 'sam', outcome: 'success', action: 'alerts:Read' },
    { principal: 'payments', outcome: 'denied', code: 'ERR_ACCESS_DENIED' },
    { principal: 'nobody', outcome: 'denied', code: 'ERR_SESSION_UNKNOWN' },
  ]);
  // All replies of this file so far: six of the burst, eight of bad input, three here.
  expect(places.size).toBe(17);
  await provisioner.close();
});

test('it is ready, and shows what it folded', async () => {
  const ready = await fetch(`${healthUrl}/health/ready`);
  expect(await ready.json()).toMatchObject({ ok: true });
  const metrics = await (await fetch(`${healthUrl}/metrics`)).text();
  expect(metrics).toMatch(/claviger_detector_records(_total)?(\{[^}]*\})? 30\d\d/);
  expect(metrics).toContain('claviger_detector_alerts_total{detector="rate-spike-principal"');
});

test('on SIGTERM it drains, and its last snapshot holds all that it folded', async () => {
  child.signal('SIGTERM');
  expect(await child.exited).toMatchObject({ code: 0 });
  const provisioner = await broker.connection('provisionerCore');
  const { state } = await (await jetstreamManager(provisioner)).streams.info('AUDIT');
  await provisioner.close();
  const client = new MongoClient(store.url);
  const head = await client.db(database).collection<{ _id: string; auditSeq: number }>('head').findOne({ _id: 'head' });
  await client.close();
  expect(head?.auditSeq).toBe(state.last_seq);
  child = await service.start();
  await child.waitForLog(new RegExp(`resumes from the snapshot of .*, AUDIT ${state.last_seq}`));
});
