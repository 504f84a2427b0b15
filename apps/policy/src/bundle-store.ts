import type { KeyObject } from 'node:crypto';
import { type BundleView, type PolicyBundle, ProblemError } from '@claviger/contracts';
import type { OutboxPage, OutboxSource } from '@claviger/messaging';
import { givenUpAfter, StoreSilent, storeOptions } from '@claviger/operability';
import type { OwedPage, OwedRecord, OwedRecordSource } from '@claviger/service';
import { type Collection, MongoClient, MongoError, MongoServerError } from 'mongodb';
import { bundleId, type OutboxEntry, openBundle, type StoredBundle } from './bundle-document';

type Document = StoredBundle & { _id: typeof bundleId; outbox: OutboxEntry[]; owed: OwedRecord[] };

const duplicateKey = 11_000;

/**
 * The bundle's system of record: one document, changed by one compare-and-set on its revision, with its outgoing messages and the record of who did
 * it inside.
 * Every method throws ERR_STORE_UNAVAILABLE when the document store does not answer.
 */
export class BundleStore implements OutboxSource<OutboxEntry>, OwedRecordSource {
  private readonly bundles: Collection<Document>;

  constructor(
    private readonly client: MongoClient,
    database: string,
    private readonly trusted: ReadonlyMap<string, KeyObject>,
  ) {
    this.bundles = client.db(database).collection<Document>('bundles');
  }

  /** Connects lazily: a store that is away is met by the first call that needs it. */
  static open(url: string, database: string, trusted: ReadonlyMap<string, KeyObject>): BundleStore {
    const client = new MongoClient(url, { ...storeOptions, appName: 'claviger-policy' });
    return new BundleStore(client, database, trusted);
  }

  /** The verified bundle; undefined when there is none. Throws TamperedBundle. */
  async load(): Promise<{ bundle: PolicyBundle; view: BundleView } | undefined> {
    const found = await this.reached(() => this.bundles.findOne({ _id: bundleId }, { projection: { _id: 0, outbox: 0, owed: 0 } }));
    return found ? openBundle(found, this.trusted) : undefined;
  }

  /** The first bundle. False when there is one already. */
  async create(stored: StoredBundle, outbox: OutboxEntry[], owed: OwedRecord): Promise<boolean> {
    try {
      await this.reached(() => this.bundles.insertOne({ _id: bundleId, ...stored, outbox, owed: [owed] }), isDuplicate);
      return true;
    } catch (error) {
      if (isDuplicate(error)) return false;
      throw error;
    }
  }

  /** False when the store no longer holds revision `basedOn`. */
  async replace(basedOn: number, stored: StoredBundle, outbox: OutboxEntry[], owed: OwedRecord): Promise<boolean> {
    const change = { $set: stored, $push: { outbox: { $each: outbox }, owed } };
    const { matchedCount } = await this.reached(() => this.bundles.updateOne({ _id: bundleId, revision: basedOn }, change));
    return matchedCount === 1;
  }

  async pending(): Promise<OutboxPage<OutboxEntry>> {
    const found = await this.reached(() =>
      this.bundles.findOne({ _id: bundleId, 'outbox.0': { $exists: true } }, { projection: { outbox: 1 } }),
    );
    const entries: unknown[] = Array.isArray(found?.outbox) ? found.outbox : [];
    // Whatever somebody else wrote there stops no sweep.
    return { items: entries.filter(isOutboxEntry).map((entry) => ({ aggregateId: bundleId, entryId: entry.id, entry })) };
  }

  async remove(_aggregateId: string, entryIds: string[]): Promise<void> {
    await this.reached(() => this.bundles.updateOne({ _id: bundleId }, { $pull: { outbox: { id: { $in: entryIds } } } }));
  }

  async owed(): Promise<OwedPage> {
    const found = await this.reached(() =>
      this.bundles.findOne({ _id: bundleId, 'owed.0': { $exists: true } }, { projection: { owed: 1 } }),
    );
    return { items: found ? [{ aggregateId: bundleId, entries: found.owed }] : [] };
  }

  async removeOwed(_aggregateId: string, ids: string[]): Promise<void> {
    await this.reached(() => this.bundles.updateOne({ _id: bundleId }, { $pull: { owed: { id: { $in: ids } } } }));
  }

  close(): Promise<void> {
    return this.client.close();
  }

  private async reached<T>(ask: () => Promise<T>, expected: (error: unknown) => boolean = () => false): Promise<T> {
    try {
      // A client whose first connection failed stays closed until it is told to connect; for a connected one this does nothing.
      await this.client.connect();
      return await givenUpAfter(ask());
    } catch (cause) {
      if (cause instanceof StoreSilent || (cause instanceof MongoError && !expected(cause)))
        throw new ProblemError('ERR_STORE_UNAVAILABLE', undefined, { cause });
      throw cause;
    }
  }
}

const isOutboxEntry = (entry: unknown): entry is OutboxEntry => {
  const { id, kind, event } = (entry ?? {}) as { id?: unknown; kind?: unknown; event?: { type?: unknown } | null };
  return typeof id === 'string' && (kind === 'view' || (kind === 'event' && typeof event?.type === 'string'));
};

const isDuplicate = (error: unknown) => error instanceof MongoServerError && error.code === duplicateKey;
