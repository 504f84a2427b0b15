import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  internalSubject,
  type KekMaterial,
  type KeysView,
  type PolicyBundle,
  ProblemError,
  type SeenToken,
  type TokenSighting,
} from '@claviger/contracts';
import { parseBatch } from '@claviger/ledger';
import { AuditTrail, KvOwner, OutboxRelay, openKeysView, type RecordIntent, recordTypes, revisionReader } from '@claviger/messaging';
import { OwedRecords } from '@claviger/service';
import { type Broker, openTestStore, startBroker, temporaryFolder, until } from '@claviger/testing';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import { MongoClient } from 'mongodb';
import { AliasCommands } from '../src/alias-commands';
import { AliasDelivery } from '../src/alias-delivery';
import { AliasStore } from '../src/alias-store';
import { Assurance } from '../src/assurance';
import { BackupStore } from '../src/backup-store';
import { CurrentKeks } from '../src/current-keks';
import { Delivery } from '../src/delivery';
import { DueChanges } from '../src/due-changes';
import { DueKeys } from '../src/due-keys';
import { Floors } from '../src/floors';
import { LeaseBounds } from '../src/invocations';
import { KekStore } from '../src/kek-store';
import { KeyCommands } from '../src/key-commands';
import { KeyStore } from '../src/key-store';
import { backupsIn } from '../src/last-backup';
import { OrphanSweep } from '../src/orphan-sweep';
import { Propagation } from '../src/propagation';
import { Reservations } from '../src/reservations';
import { ReservedObjects } from '../src/reserved-objects';
import { Roots } from '../src/roots';
import { SignedDocuments } from '../src/signed-documents';
import { TokenSightings } from '../src/token-sightings';
import { TokenTales } from '../src/token-tales';
import { signer } from './made-keys';

export { about, knownToken, made, newKey, now, nowMs, signer } from './made-keys';

/** Who makes a change, where a request says it. */
export const intent = (
  revision: number,
  more: Partial<RecordIntent['entry']> = {},
  id = `i.${randomBytes(6).toString('hex')}`,
): RecordIntent => ({
  id,
  at: new Date().toISOString(),
  entry: { action: 'keys:Test', principal: 'kim', session: 'S'.repeat(22), reason: 'a test', revisions: {}, revision, ...more },
});

export const reportedToken = { manufacturer: 'Example HSM', model: 'K7', firmware: '7.8', serialNumber: '0042', family: 'softhsm' };

export const orphanAfterMs = 1_800_000;

export const quiet = (): LoggerService & { lines: string[] } => {
  const lines: string[] = [];
  const keep = (line: unknown) => void lines.push(String(line));
  return { lines, log: keep, warn: keep, error: keep };
};

/** A store of its own, in the real document store. */
export async function openStore() {
  const server = await openTestStore();
  const client = new MongoClient(server.url, { writeConcern: { w: 'majority', journal: true } });
  const control = signer();
  let databases = 0;
  return {
    control,
    database: () => client.db(server.databaseName(`keys${databases++}`)),
    close: async () => {
      await client.close();
      await server.stop();
    },
  };
}

/** A real trail, with keys of its own where the service has them in its token. */
function openTrail(connection: NatsConnection, worker: string): AuditTrail {
  const openEpoch = () => {
    const [batch, certifier] = [generateKeyPairSync('ec', { namedCurve: 'P-256' }), generateKeyPairSync('ec', { namedCurve: 'P-256' })];
    const signWith = (key: KeyObject) => (digest: Buffer) => sign('sha256', digest, { key, dsaEncoding: 'ieee-p1363' });
    return {
      batchPublicKey: batch.publicKey.export({ format: 'der', type: 'spki' }),
      signBatch: signWith(batch.privateKey),
      certifier: 'of-test',
      certify: signWith(certifier.privateKey),
    };
  };
  return new AuditTrail({ connection, service: 'key-lifecycle', worker, openEpoch });
}

/** What a worker's token would make of a key: it opens under that KEK only, and is the same key under another. */
export const wrappedUnder = (kekId: string, secret: string): string => Buffer.from(`${kekId}:${secret}`).toString('base64url');
export const unwrappedUnder = (kekId: string, wrapped: string): string | undefined => {
  const text = Buffer.from(wrapped, 'base64url').toString();
  return text.startsWith(`${kekId}:`) ? text.slice(kekId.length + 1) : undefined;
};
interface Unreadable {
  unreadable: Set<string>;
  epochKeys: string[];
}
function underRoot(material: KekMaterial, { rootLabel, token }: { rootLabel: string; token?: string }, { unreadable }: Unreadable) {
  if (unreadable.has(material.wrapped)) return { problem: new ProblemError('ERR_KEY_UNREADABLE', 'not intact').toProblem() };
  const { mechanism, family } = material;
  return { rootLabel, token, mechanism, family, wrapped: randomBytes(40).toString('base64url') };
}
const rotations = {
  'rewrap-keys': ({ to, keys }: { to: { kekId: string }; keys: { kekId: string; wrapped: string }[] }) => ({
    keys: keys.map(({ kekId, wrapped }) => {
      const secret = unwrappedUnder(kekId, wrapped);
      return secret === undefined
        ? { code: 'ERR_KEY_UNREADABLE', detail: 'not intact' }
        : { custody: 'wrapped', kekId: to.kekId, mechanism: 0x210a, family: 'softhsm', wrapped: wrappedUnder(to.kekId, secret) };
    }),
  }),
  'rewrap-kek': ({ material, ...to }: { material: KekMaterial; rootLabel: string; token?: string }, asked: Unreadable) =>
    underRoot(material, to, asked),
  'move-epoch-key': ({ epochKey, ...to }: { epochKey: KekMaterial; rootLabel: string; token?: string }, asked: Unreadable) => {
    asked.epochKeys.push(`${epochKey.rootLabel} in ${epochKey.token}`);
    return underRoot(epochKey, to, asked);
  },
  'create-root': ({ label, token }: { label: string; token?: string }, asked: { roots: string[] }) => ({
    created: asked.roots.push(token ? `${label} in ${token}` : label) > 0,
  }),
  'destroy-root': ({ label, token }: { label: string; token?: string }, asked: { destroyed: string[] }) => ({
    destroyed: asked.destroyed.push(`${label} in ${token}`) > 0,
  }),
};

/** The service without its front: real broker and permissions, real store; workers are played by connections of crypto-worker. */
export async function startLifecycle() {
  const folder = await temporaryFolder('key-lifecycle-spec');
  const [broker, storage]: [Broker, Awaited<ReturnType<typeof openStore>>] = await Promise.all([
    startBroker({ dir: folder.path }),
    openStore(),
  ]);
  const { control } = storage;
  const connection = await broker.connection('key-lifecycle');
  const workers = await broker.connection('crypto-worker');
  const opened: { stop(): void }[] = [];
  const view = openKeysView({ connection, holder: 'key-lifecycle.t', trusted: control.trusted, onRefused: () => undefined });
  await view.start();
  opened.push(view);
  const owner = new KvOwner<KeysView>(connection, 'keys', recordTypes.keys, control, revisionReader('keys', control.trusted));
  await owner.start();
  await until(() => view.proven(), { what: 'the view to be proven' });
  owner.keepMark(view);
  await owner.sign(view);
  await view.whenFresh();
  opened.push(owner);
  const propagation = new Propagation(connection, view);
  propagation.start();
  opened.push(propagation);
  const logger = quiet();
  const db = storage.database();
  const tampered: string[] = [];
  /** The floors in force: tests put profiles there. */
  const policies: { current: { bundle: PolicyBundle; hash: string } | undefined } = { current: undefined };
  /** Workers that `serveHsm` plays. */
  const playing = new Set(['crypto-worker.w-1']);
  const trail = openTrail(connection, 'kl-test');
  const replica = ({ records = trail, ...more }: { records?: AuditTrail; dueAfterMs?: number } = {}) => {
    const onTampered = (keyId: string, reason: string) => void tampered.push(`${keyId}: ${reason}`);
    const documents = new SignedDocuments(control, control.trusted, (id) => view.get(id)?.revision);
    const store = new KeyStore(db, documents, onTampered);
    const keks = new KekStore(db, documents, onTampered, () => [...view.values()].filter((record) => record.kind === 'kek'));
    const roots = new Roots(db, documents);
    const reservations = new Reservations(db, documents);
    const objects = new ReservedObjects(reservations, orphanAfterMs);
    const backups = new BackupStore(db, control, control.trusted, onTampered);
    const delivery = new Delivery(connection, owner, store, records, backupsIn(backups));
    const currentKeks = new CurrentKeks(connection, keks, roots, delivery);
    const relay = new OutboxRelay(store, delivery.deliver, logger);
    const owing = {
      trail: records,
      signer: control,
      trusted: control.trusted,
      onTampered,
      logger,
      dueAfterMs: 0,
      ...more,
    };
    const owed = new OwedRecords({ ...owing, source: store });
    const aliases = new AliasStore(db, documents, onTampered);
    const aliasDelivery = new AliasDelivery(connection, owner, aliases);
    const aliasRelay = new OutboxRelay(aliases, aliasDelivery.deliver, logger);
    const floors = new Floors(policies);
    const sightings = new TokenSightings(connection, { fresh: () => view.fresh(), liveHolders: () => [...playing] });
    const assurance = new Assurance(policies, floors, sightings);
    const owedOfAliases = new OwedRecords({ ...owing, source: aliases });
    return {
      store,
      aliases,
      aliasDelivery,
      aliasRelay,
      owedOfAliases,
      aliasCommands: new AliasCommands(aliases, aliasDelivery, aliasRelay, owedOfAliases, propagation, logger),
      backups,
      keks,
      roots,
      currentKeks,
      documents,
      due: new DueKeys(db, documents, store),
      delivery,
      relay,
      owed,
      commands: new KeyCommands(connection, store, currentKeks, delivery, relay, owed, propagation, floors, logger, objects, assurance),
      floors,
      sightings,
      assurance,
      tokenTales: new TokenTales(db, documents, onTampered),
      reservations,
    };
  };
  const first = replica();
  return {
    broker,
    connection,
    workers,
    control,
    view,
    owner,
    propagation,
    logger,
    db,
    tampered,
    policies,
    playing,
    trail,
    replica,
    ...first,
    /** Sweeps at this time, ms since 1970. */
    sweeper: (records: AuditTrail, nowMs: number, { commands, store, due }: Pick<typeof first, 'commands' | 'store' | 'due'> = first) =>
      new DueChanges({ commands, due, store, trail: records, bounds: new LeaseBounds(1_000, 0.5), logger, nowMs: () => nowMs }),
    orphans: (records: AuditTrail, nowMs: number, { reservations, store }: Pick<typeof first, 'reservations' | 'store'> = first) =>
      new OrphanSweep({ reservations, store, trail: records, connection, orphanAfterMs, logger, nowMs: () => nowMs }),
    /** Every record of this service in AUDIT, in order. */
    recorded: async (): Promise<Record<string, unknown>[]> => {
      const reader = await broker.connection('provisionerCore');
      try {
        const jsm = await jetstreamManager(reader);
        const { state } = await jsm.streams.info('AUDIT');
        const lines: Record<string, unknown>[] = [];
        for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
          const message = await jsm.streams.getMessage('AUDIT', { seq });
          if (message) lines.push(...parseBatch(message.data).lines.map((line) => JSON.parse(line.toString('utf8'))));
        }
        return lines;
      } finally {
        await reader.close();
      }
    },
    /** A worker's copy of the bucket, fresh. */
    worker: async (name: string, { as = workers }: { as?: NatsConnection } = {}) => {
      const holder = `crypto-worker.${name}`;
      const held = openKeysView({ connection: as, holder, trusted: control.trusted, onRefused: () => undefined });
      opened.push(held);
      await held.start();
      await held.whenFresh();
      await until(() => view.liveHolders().includes(holder), { what: `${holder} to be known` });
      return { holder, view: held };
    },
    /** Makes key material, as any worker does: of ED25519 in the token. */
    serveHsm: () => {
      /** `key`: how many were made; `messages`: by how many messages. HMAC-SHA-512 it cannot make in a batch. */
      const asked = {
        kek: 0,
        key: 0,
        messages: 0,
        destroyed: [] as string[],
        roots: [] as string[],
        /** Which roots keys of epochs were under that were to be moved. */
        epochKeys: [] as string[],
        /** What does not open under the root that it is under. */
        unreadable: new Set<string>(),
        /** What each worker says of a token. */
        sightings: {} as Record<string, Partial<TokenSighting>>,
        /** What it says of its tokens. */
        tokens: [{ label: 'customer', root: true, reached: true, reported: reportedToken }] as SeenToken[],
        /** The same of others than w-1, and whose turn it is to say it, one after another. */
        others: {} as Record<string, SeenToken[]>,
        answering: ['w-1'],
        away: () => subscription.unsubscribe(),
        /** Keys are made when it resolves. */
        held: undefined as Promise<void> | undefined,
      };
      const madeOf = (kekId: string, algorithm: string, label?: string) => {
        asked.key++;
        const wrapped = randomBytes(40).toString('base64url');
        return algorithm === 'ED25519'
          ? { material: { custody: 'token', family: 'softhsm', token: 'customer', label } }
          : { material: { custody: 'wrapped', kekId, mechanism: 0x210a, family: 'softhsm', wrapped: wrappedUnder(kekId, wrapped) } };
      };
      const subscription = workers.subscribe(internalSubject('hsm', '*'), {
        callback: (_error, m) => {
          const wrapped = randomBytes(40).toString('base64url');
          const verb = m.subject.split('.').at(-1) as string;
          if (verb === 'survey-token') {
            for (const [worker, said] of Object.entries(asked.sightings))
              m.respond(
                JSON.stringify({ result: { worker: `crypto-worker.${worker}`, first: 'customer', region: 'eu', lacks: [], ...said } }),
              );
            return;
          }
          if (verb in rotations) {
            const result = rotations[verb as keyof typeof rotations](m.json(), asked);
            return void m.respond(JSON.stringify('problem' in result ? result : { result }));
          }
          if (verb === 'describe-tokens') {
            const worker = asked.answering.shift() as string;
            asked.answering.push(worker);
            return void m.respond(JSON.stringify({ result: { worker, tokens: asked.others[worker] ?? asked.tokens } }));
          }
          if (m.subject.endsWith('destroy-key')) {
            asked.destroyed.push(m.json<{ label: string }>().label);
            m.respond(JSON.stringify({ result: { destroyed: true } }));
          } else if (m.subject.endsWith('generate-kek')) {
            asked.kek++;
            const { rootLabel = 'root', token } = m.json<{ rootLabel?: string; token?: string }>();
            m.respond(JSON.stringify({ result: { rootLabel, token, mechanism: 0x210a, family: 'softhsm', wrapped } }));
          } else {
            asked.messages++;
            const { kekId, algorithm, keys, label } = m.json<{
              kekId: string;
              algorithm: string;
              keys?: { algorithm: string }[];
              label?: string;
            }>();
            const answer = (result: unknown) => void m.respond(JSON.stringify({ result }));
            const answerHeld = (result: unknown) => void (asked.held ? asked.held.then(() => answer(result)) : answer(result));
            if (!keys) return answerHeld(madeOf(kekId, algorithm, label));
            const hmacIsAway = { problem: new ProblemError('ERR_ALGORITHM_UNAVAILABLE', 'no HMAC-SHA-512 here').toProblem() };
            const made = keys.map((one) => (one.algorithm === 'HMAC_SHA_512' ? hmacIsAway : madeOf(kekId, one.algorithm)));
            answerHeld({ keys: made });
          }
        },
      });
      return asked;
    },
    stop: async () => {
      for (const part of opened) part.stop();
      await connection.close();
      await workers.close();
      await broker.stop();
      await storage.close();
      await folder.remove();
    },
  };
}
export type Lifecycle = Awaited<ReturnType<typeof startLifecycle>>;
