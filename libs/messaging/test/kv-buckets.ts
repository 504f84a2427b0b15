import type { KeyView, SessionsView, SessionView } from '@claviger/contracts';
import { type Broker, startBroker, temporaryFolder, until } from '@claviger/testing';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import {
  isPinned,
  KvOwner,
  type KvView,
  openKeysView,
  openSessionsView,
  type RefusedEntry,
  recordTypes,
  revisionReader,
  signRecord,
} from '../src/index';
import { testSigner } from './test-keys';

const letters = (n: number) => n.toString(36).padStart(22, 'A').slice(-22);
let ids = 0;
let holders = 0;

/** The real broker with its accounts, permissions and buckets, and an owner's key that its holders trust. */
export async function startBuckets() {
  const folder = await temporaryFolder('kv-spec');
  const broker: Broker = await startBroker({ dir: folder.path });
  const signer = testSigner();
  const { trusted } = signer;
  const connections: NatsConnection[] = [];
  const stops: (() => void)[] = [];
  const connection = async (user: Parameters<Broker['connection']>[0]) => {
    const made = await broker.connection(user);
    connections.push(made);
    return made;
  };
  const [owning, holding, provisioner] = await Promise.all([
    connection('key-lifecycle'),
    connection('crypto-worker'),
    connection('provisionerCore'),
  ]);
  const jsm = await jetstreamManager(provisioner);
  const jws = (record: object, typ: string = recordTypes.keys, by = signer) => signRecord(typ, record, by);
  return {
    broker,
    signer,
    connection,
    jws,
    jsm,
    key: (more: Partial<KeyView> = {}): KeyView => {
      const id = more.keyId ?? `k_${letters(ids++)}`;
      return {
        kind: 'key',
        id,
        revision: 1,
        keyId: id,
        name: `key-${id.toLowerCase()}`,
        algorithm: 'AES_256',
        usage: 'encrypt',
        environment: 'production',
        classification: 'internal',
        owner: 'payments',
        consumers: [],
        createdBy: 'kim',
        tags: {},
        primaryVersion: 1,
        suspended: false,
        processingAllowed: false,
        versions: [{ version: 1, state: 'active' }],
        ...more,
      };
    },
    session: (more: Partial<SessionView> = {}): SessionView => {
      const id = letters(ids++);
      return {
        kind: 'session',
        id,
        revision: 1,
        session: id,
        principal: 'payments-api',
        method: 'token',
        mfa: false,
        authTime: new Date().toISOString(),
        chain: 'A'.repeat(43),
        ip: 'commitment',
        issuedAt: new Date().toISOString(),
        expiresAt: new Date(Date.now() + 600_000).toISOString(),
        state: 'active',
        ...more,
      };
    },
    /** Past every check, as somebody with an owner's broker credentials could. */
    put: (id: string, value: string, bucket = 'keys', as = owning) => jetstream(as).publish(`$KV.${bucket}.${id}`, value),
    /** The same with headers that say what they like. */
    putSaying: (id: string, value: string, said: Record<string, string>) => {
      const h = headers();
      for (const [name, text] of Object.entries(said)) h.set(name, text);
      return jetstream(owning).publish(`$KV.keys.${id}`, value, { headers: h });
    },
    read: async (id: string) => (await (await new Kvm(jetstream(owning)).open('keys')).get(id))?.string(),
    owner: async (view?: Pick<KvView<KeyView>, 'held'>) => {
      const owner = new KvOwner<KeyView>(owning, 'keys', recordTypes.keys, signer, revisionReader('keys', trusted), view, isPinned);
      await owner.start();
      stops.push(() => owner.stop());
      return owner;
    },
    sessionsOwner: async () => {
      const made = await connection('policy');
      const owner = new KvOwner<SessionsView>(made, 'sessions', recordTypes.sessions, signer, revisionReader('sessions', trusted));
      await owner.start();
      stops.push(() => owner.stop());
      return owner;
    },
    /** A started copy of the bucket, and what it refused. */
    view: async ({
      as = 'crypto-worker' as 'crypto-worker' | 'key-lifecycle',
      holder = '',
      atMost = undefined as number | undefined,
      via = (connection: NatsConnection) => connection,
    } = {}) => {
      const refused: string[] = [];
      const name = holder || `${as}.h${holders++}`;
      const options = {
        connection: via(as === 'crypto-worker' ? holding : owning),
        holder: name,
        trusted,
        onRefused: ({ bucket, key, reason, detail }: RefusedEntry) => void refused.push(`${bucket}/${key}: ${reason}: ${detail}`),
        onTrouble: (what: string) => void refused.push(`trouble: ${what}`),
      };
      const view = openKeysView(options, atMost === undefined ? {} : { atMost });
      stops.push(() => view.stop());
      await view.start();
      return { view, refused, holder: name, sessions: openSessionsView(options) };
    },
    /** Names of the consumers that watches hold open in a bucket. */
    watchers: async (bucket = 'keys') => {
      const names: string[] = [];
      for await (const { name } of jsm.consumers.list(`KV_${bucket}`)) names.push(name);
      return names;
    },
    refusal: (refused: string[], pattern: RegExp) => until(() => refused.some((r) => pattern.test(r)), { what: `a refusal ${pattern}` }),
    stop: async () => {
      for (const stop of stops) stop();
      await Promise.all(connections.map((c) => c.close()));
      await broker.stop();
      await folder.remove();
    },
  };
}
export type Buckets = Awaited<ReturnType<typeof startBuckets>>;
