import { type Alert, consumers } from '@claviger/contracts';
import { OutboxRelay } from '@claviger/messaging';
import type { Broker } from '@claviger/testing';
import { until } from '@claviger/testing';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import { MongoClient } from 'mongodb';
import { type AlertEvent, alertSubject } from '../src/alert-event';
import { AlertStore } from '../src/alert-store';
import { Detector } from '../src/detector';
import { RaisedAlerts } from '../src/raised-alerts';
import { SnapshotStore } from '../src/snapshot-store';
import { settings } from './series-of-uses';

const quiet: LoggerService = { log: () => undefined, warn: () => undefined, error: () => undefined };

export interface RunningDetector {
  detector: Detector;
  store: AlertStore;
  /** As a process that is killed: no last snapshot, no drain, whatever was delivered stays unacknowledged. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

/** The detector as main.ts puts it together, in this process, with the permissions of its own broker user. */
export async function runDetector(
  broker: Broker,
  storeUrl: string,
  database: string,
  { snapshotSeconds = 3_600, publishes = true } = {},
): Promise<RunningDetector> {
  const connection = await broker.connection('anomaly-detector');
  const client = new MongoClient(storeUrl, { serverSelectionTimeoutMS: 2_000, ignoreUndefined: true });
  const db = client.db(database);
  const store = new AlertStore(db);
  const snapshots = new SnapshotStore(db);
  const js = jetstream(connection);
  const deliver = async ({ entry }: { entry: AlertEvent }) => {
    if (!publishes) throw new Error('this one does not get as far as publishing');
    await js.publish(alertSubject(entry), JSON.stringify(entry), { msgID: entry.id });
  };
  const relay = new OutboxRelay<AlertEvent>(store, deliver, quiet);
  const alerts = new RaisedAlerts(store, relay);
  const prepare = async () => {
    await client.connect();
    await store.prepare();
    await snapshots.prepare();
  };
  const detector = new Detector({ connection, settings, snapshots, prepare, alerts, snapshotSeconds, logger: quiet });
  detector.start();
  relay.start(50);
  return {
    detector,
    store,
    async crash() {
      await connection.close();
      await client.close(true);
      await Promise.allSettled([detector.stop(), relay.stop()]);
    },
    async stop() {
      await detector.stop();
      await relay.stop();
      await connection.close();
      await client.close();
    },
  };
}

/** Resolves when everything up to this AUDIT message is folded. */
export const reaches = ({ detector }: RunningDetector, streamSeq: number) =>
  until(() => detector.audit.state === 'following' && detector.audit.position >= streamSeq, {
    what: `message ${streamSeq} to be folded`,
    timeoutMs: 60_000,
  });

/** All alerts that were ever published, in order. */
export async function publishedAlerts(provisioner: NatsConnection): Promise<Alert[]> {
  const jsm = await jetstreamManager(provisioner);
  const { state } = await jsm.streams.info('ALERTS');
  const alerts: Alert[] = [];
  for (let seq = 1; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage('ALERTS', { seq });
    if (message) alerts.push(message.json<AlertEvent>().data.alert);
  }
  return alerts;
}

/** What a process does that is killed with messages in its hands: takes them off the consumer and is never heard of again. */
export async function takeAndVanish(broker: Broker, messages: number): Promise<void> {
  const connection = await broker.connection('anomaly-detector');
  const { stream, name } = consumers.auditDetector;
  const consumer = await jetstream(connection).consumers.get(stream, name);
  for await (const _ of await consumer.fetch({ max_messages: messages, expires: 2_000 })) if (--messages === 0) break;
  await connection.close();
}
