import type { KeyDescription, KeyMaterial, KeysView } from '@claviger/contracts';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { MongoClient } from 'mongodb';
import type { Stack } from '../../deploy/local/stack';
import type { LedgerRecord } from './ledger';

/** A key's document, as it is signed. */
export interface StoredKey {
  keyId: string;
  name: string;
  revision: number;
  suspended: boolean;
  deletionAt?: string;
  primaryVersion: number;
  versions: { version: number; state: string; material?: KeyMaterial; transitions: { to: string }[] }[];
}

interface KeyDocument {
  _id: string;
  signed: string;
  pending: boolean;
  claimedUntil?: string | null;
}

/** An event of a key that was made or changed. */
export interface KeyEvent {
  id: string;
  type: string;
  data: KeyDescription & { change: { action: string; record: string; requestId?: string } };
}

/** All that there is of keys, in every place where something of them is kept. */
export interface KeyEstate {
  documents: StoredKey[];
  /** Of documents in which something waits to be delivered or recorded. */
  pending: string[];
  /** Of documents whose destruction is due. */
  due: string[];
  /** Of documents that a key-lifecycle has in hand, or had when it was killed. */
  claimed: string[];
  view: Map<string, KeysView>;
  /** Ids of every event on KEYS, as they stand there. */
  eventIds: string[];
  events: KeyEvent[];
  ledger: readonly LedgerRecord[];
}

const payloadOf = <T>(jws: string): T => JSON.parse(Buffer.from(jws.split('.')[1] as string, 'base64url').toString()) as T;

/** Reads it; the store also by itself, while what it holds is still being delivered. */
export class EstateReader {
  /** All so far, by their place in the stream: each reading goes on where the last one ended. */
  private readonly events: KeyEvent[] = [];

  private constructor(
    private readonly stack: Stack,
    private readonly mongo: MongoClient,
  ) {}

  static async open(stack: Stack): Promise<EstateReader> {
    return new EstateReader(stack, await MongoClient.connect(stack.storeUrl));
  }

  close(): Promise<void> {
    return this.mongo.close();
  }

  async store(): Promise<Pick<KeyEstate, 'documents' | 'pending' | 'due' | 'claimed'>> {
    const collection = this.mongo.db(`${this.stack.databasePrefix}keys`).collection<KeyDocument>('keys');
    const found = await collection.find().toArray();
    const documents = found.map(({ signed }) => payloadOf<StoredKey>(signed));
    const now = new Date().toISOString();
    return {
      documents,
      claimed: found.filter(({ claimedUntil }) => (claimedUntil ?? '') > now).map(({ _id }) => _id),
      pending: found.filter(({ pending }) => pending).map(({ _id }) => _id),
      due: documents
        .filter(
          ({ deletionAt, versions }) =>
            deletionAt !== undefined && deletionAt <= now && versions.some(({ state }) => state !== 'destroyed'),
        )
        .map(({ keyId }) => keyId),
    };
  }

  /** What stands in the documents of these keys beside what is signed. */
  async besideKeys(keyIds: string[]): Promise<object[]> {
    const collection = this.mongo.db(`${this.stack.databasePrefix}keys`).collection<KeyDocument>('keys');
    return collection.find({ _id: { $in: keyIds } }, { projection: { signed: 0, facets: 0, invocations: 0 } }).toArray();
  }

  async read(ledger: readonly LedgerRecord[]): Promise<KeyEstate> {
    const [admin, reader] = await Promise.all([
      this.stack.broker.connection('provisionerCore'),
      this.stack.broker.connection('key-lifecycle'),
    ]);
    try {
      await this.readEvents(admin);
      const changes = ['io.claviger.key.created', 'io.claviger.key.changed'];
      return {
        ...(await this.store()),
        view: await viewOf(reader),
        eventIds: this.events.map(({ id }) => id),
        events: this.events.filter(({ type }) => changes.includes(type)),
        ledger,
      };
    } finally {
      await Promise.all([admin.close(), reader.close()]);
    }
  }

  private async readEvents(connection: NatsConnection): Promise<void> {
    const { streams } = await jetstreamManager(connection);
    const { state } = await streams.info('KEYS');
    for (let seq = this.events.length + 1; seq <= state.last_seq; seq++) {
      const message = await streams.getMessage('KEYS', { seq });
      if (!message) throw new Error(`KEYS has no message ${seq}`);
      this.events.push(message.json<KeyEvent>());
    }
  }
}

async function viewOf(connection: NatsConnection): Promise<KeyEstate['view']> {
  const bucket = await new Kvm(jetstream(connection)).open('keys');
  const names: string[] = [];
  for await (const name of await bucket.keys()) if (/^(k|kek)_/.test(name)) names.push(name);
  const view: KeyEstate['view'] = new Map();
  for (const name of names) {
    const entry = await bucket.get(name);
    if (entry) view.set(name, payloadOf<KeysView>(entry.string()));
  }
  return view;
}
