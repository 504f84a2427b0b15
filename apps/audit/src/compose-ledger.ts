import { setTimeout as delay } from 'node:timers/promises';
import type { Trust } from '@claviger/contracts';
import { consumers, mayCertify } from '@claviger/contracts';
import { ed25519Verifier, type NoteSigner, p256PublicKey } from '@claviger/ledger';
import { DurableConsumer } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import type { Db } from 'mongodb';
import { spansOf } from './append-spans';
import { CheckpointStore } from './checkpoint-store';
import { Checkpointer } from './checkpointer';
import { findingRelay } from './finding-relay';
import type { Step } from './fold';
import { LedgerEvents } from './ledger-events';
import { LedgerReader } from './ledger-reader';
import { LedgerStore } from './ledger-store';
import { OpenLedger } from './open-ledger';
import { guardAgainstRollback } from './rollback-guard';
import { Sequencer } from './sequencer';
import { AuditStream, streamMessageOf } from './stream';
import { Tiles } from './tiles';
import { rulesName } from './writers';

export interface LedgerOptions {
  connection: NatsConnection;
  db: Db;
  trust: Pick<Trust, 'certifiers' | 'ledger'>;
  signer: NoteSigner;
  checkpointEveryMs: number;
  logger: LoggerService;
  /** Called before each step is written; what it gives is called when it is committed, or with the error. */
  observe?: (step: Step) => (error?: unknown) => void;
}

/** Messages handed over at once, and in memory: batches have up to half a megabyte. */
const maxMessages = 200;
/** What comes within this time after a step goes into the next one: fewer, larger writes, long before a checkpoint is due. */
const stepEveryMs = 100;
const relayEveryMs = 2_000;
const keysInMemory = 2_000;

/** How the parts of the ledger hang together: consumer → sequencer → store, and from each committed head to checkpoint and findings. */
export async function composeLedger(options: LedgerOptions) {
  const { connection, db, trust, signer, logger } = options;
  const certifiers = new Map(Object.entries(trust.certifiers).map(([kid, spki]) => [kid, p256PublicKey(Buffer.from(spki, 'base64url'))]));
  const keys = new LRUCache<string, ReturnType<typeof p256PublicKey>>({ max: keysInMemory });
  const keyOf = (spki: Buffer) => {
    const id = spki.toString('latin1');
    const key = keys.get(id) ?? p256PublicKey(spki);
    keys.set(id, key);
    return key;
  };

  const store = new LedgerStore(db);
  const checkpoints = new CheckpointStore(db);
  const tiles = new Tiles(store);
  const [events, stream] = await Promise.all([LedgerEvents.open(connection), AuditStream.open(connection)]);
  const checkpointer = new Checkpointer({
    origin: trust.ledger.origin,
    signer,
    store: checkpoints,
    events,
    everyMs: options.checkpointEveryMs,
    logger,
  });
  const relay = findingRelay(db, store, events, () => sequencer.head, logger);
  const sequencer: Sequencer = new Sequencer({
    store,
    stream,
    rules: { certifiers, mayCertify, keyOf },
    rulesName: rulesName(trust.certifiers),
    logger,
    observe: (step) => {
      const ends = [spansOf(step), ...(options.observe ? [options.observe(step)] : [])];
      return (error) => {
        for (const end of ends) end(error);
        if (error !== undefined) return;
        checkpointer.committed(step.head);
        if (step.entries.some(({ findings }) => findings > 0)) void relay.sweep();
      };
    },
  });

  let pending = 0;
  const { name, ackWaitMs } = consumers.auditLedger;
  const consumer = new DurableConsumer({
    connection,
    stream: 'AUDIT',
    consumer: name,
    maxMessages,
    ackWaitMs,
    logger,
    handle: async (messages) => {
      const next = performance.now() + stepEveryMs;
      await sequencer.handle(messages.map(streamMessageOf));
      // Also what another process committed: it may not live to sign it.
      if (sequencer.head) checkpointer.committed(sequencer.head);
      await delay(Math.max(0, next - performance.now()));
    },
    observe: (_handled, left) => {
      pending = left;
    },
  });
  const ledger = new OpenLedger({
    published: () => events.lastCheckpoint(),
    prepare: async () => {
      // Asked for in so many words: a client whose implicit first connection failed never tries again.
      await db.client.connect();
      await store.prepare(rulesName(trust.certifiers));
      await checkpoints.prepare();
      return store.loadHead();
    },
    guard: (head, published) =>
      guardAgainstRollback(
        head,
        published,
        { origin: trust.ledger.origin, verifier: ed25519Verifier(trust.ledger.vkey) },
        tiles.reader(head.edge),
      ),
    begin: async () => {
      await sequencer.open();
      await sequencer.catchUp((await stream.delivered(name)) + 1);
      checkpointer.committed(sequencer.head!);
      await consumer.start();
      relay.start(relayEveryMs);
    },
    head: () => sequencer.head,
    logger,
  });
  return {
    store,
    checkpoints,
    checkpointer,
    sequencer,
    ledger,
    reader: new LedgerReader(store, tiles, ledger),
    lag: () => pending,
    /** In the order of dependence: nothing is appended any more, what was appended is signed and told. */
    stop: async () => {
      await ledger.stop();
      await consumer.stop();
      await checkpointer.stop();
      await relay.stop();
    },
  };
}
