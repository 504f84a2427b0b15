import { generateKeyPairSync, sign } from 'node:crypto';
import { consumers } from '@claviger/contracts';
import { encodeVerifierKey, parseVerifierKey, rawEd25519PublicKey } from '@claviger/ledger';
import {
  type NatsServer,
  openTestStore,
  startNatsServer,
  type TemporaryFolder,
  type TestStore,
  temporaryFolder,
  until,
} from '@claviger/testing';
import { AckPolicy, type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { ConsoleLogger } from '@nestjs/common';
import { type Db, MongoClient } from 'mongodb';
import { composeLedger, type LedgerOptions } from '../src/compose-ledger';
import { certifiers } from './worker';

export const quiet = new ConsoleLogger('audit', { logLevels: [] });

/** A log with its key outside a token; `service.spec.ts` has the real token. */
const pair = generateKeyPairSync('ed25519');
const origin = 'claviger.test/ledger';
const vkey = encodeVerifierKey(origin, rawEd25519PublicKey(pair.publicKey.export({ format: 'der', type: 'spki' })));
export const trust = { certifiers, ledger: { origin, vkey } };
const { name, keyHash } = parseVerifierKey(vkey);
export const signer = { name, keyHash, sign: (text: Buffer) => sign(null, text, pair.privateKey) };

export type RunningLedger = Awaited<ReturnType<typeof composeLedger>>;

/** A real broker whose AUDIT may be damaged (no deny_delete, no deny_purge), and a real store; ledgers in this process. */
export class LedgerTest {
  private readonly running: RunningLedger[] = [];

  private constructor(
    private readonly folder: TemporaryFolder,
    private readonly nats: NatsServer,
    private readonly testStore: TestStore,
    readonly connection: NatsConnection,
    readonly js: JetStreamClient,
    readonly jsm: JetStreamManager,
    private readonly client: MongoClient,
  ) {}

  static async start(): Promise<LedgerTest> {
    const folder = await temporaryFolder('audit-spec');
    const [nats, store] = await Promise.all([startNatsServer({ dir: `${folder.path}/nats` }), openTestStore()]);
    const connection = await connect({ servers: nats.url });
    return new LedgerTest(
      folder,
      nats,
      store,
      connection,
      jetstream(connection),
      await jetstreamManager(connection),
      new MongoClient(store.url),
    );
  }

  /** Empty streams, and an empty database of a new name. */
  async fresh(): Promise<Db> {
    await this.stopLedgers();
    for (const stream of ['AUDIT', 'LEDGER']) {
      await this.jsm.streams.delete(stream).catch(() => undefined);
      await this.addStream(stream);
    }
    await this.addConsumer();
    return this.client.db(this.testStore.databaseName(`audit${Math.random().toString(36).slice(2)}`));
  }

  async addStream(stream: string): Promise<void> {
    await this.jsm.streams.add({ name: stream, subjects: [`${stream.toLowerCase()}.v1.>`] });
  }

  async addConsumer(): Promise<void> {
    await this.jsm.consumers.add('AUDIT', {
      durable_name: consumers.auditLedger.name,
      ack_policy: AckPolicy.All,
      ack_wait: 60_000_000_000,
    });
  }

  async publish(subject: string, data: Uint8Array): Promise<number> {
    return (await this.js.publish(subject, data)).seq;
  }

  /** A ledger on this database, opened. Several may run at once. */
  async ledger(db: Db, more: Partial<LedgerOptions> = {}): Promise<RunningLedger> {
    const parts = await this.compose(db, more);
    parts.ledger.start();
    await until(() => parts.ledger.condition.ok, { what: 'the ledger to open' });
    return parts;
  }

  async compose(db: Db, more: Partial<LedgerOptions> = {}): Promise<RunningLedger> {
    const parts = await composeLedger({ connection: this.connection, db, trust, signer, checkpointEveryMs: 50, logger: quiet, ...more });
    this.running.push(parts);
    return parts;
  }

  /** Resolves when the ledger is past this message and what it holds is signed. */
  async settled({ sequencer, checkpointer }: RunningLedger, streamSeq: number): Promise<void> {
    await until(() => sequencer.head !== undefined && sequencer.head.streamSeq >= streamSeq, {
      what: `message ${streamSeq} in the ledger`,
      timeoutMs: 20_000,
    });
    await checkpointer.flush();
  }

  async stopLedgers(): Promise<void> {
    for (const parts of this.running.splice(0)) await parts.stop();
  }

  async stop(): Promise<void> {
    await this.stopLedgers();
    await this.client.close();
    await this.connection.close();
    await Promise.all([this.nats.stop(), this.testStore.stop()]);
    await this.folder.remove();
  }
}
