import { createHash, type KeyObject } from 'node:crypto';
import { PolicyBundle } from '@claviger/contracts';
import type { OutboxPage, OutboxSource } from '@claviger/messaging';
import { givenUpAfter, storeOptions } from '@claviger/operability';
import type { OwedPage, OwedRecord, OwedRecordSource } from '@claviger/service';
import { BSON, type Collection, MongoClient, MongoServerError } from 'mongodb';
import { bundleId, type OutboxEntry, openBundle, type StoredBundle } from './bundle-document';
import { storeAnswer } from './store-answer';

type Opened = ReturnType<typeof openBundle>;
type Document = StoredBundle & { _id: typeof bundleId; outbox: OutboxEntry[]; owed: OwedRecord[] };

const duplicateKey = 11_000;

/**
 * The bundle's system of record: one document, changed by one compare-and-set on its revision, with its outgoing messages and the record of who did
 * it inside.
 * Every method throws ERR_STORE_UNAVAILABLE when the document store does not answer.
 */
export class BundleStore implements OutboxSource<OutboxEntry>, OwedRecordSource {
  private readonly bundles: Collection<Document>;
  private verified: { readonly digest: string; readonly opened: Opened } | undefined;

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

  /**
   * The verified bundle; undefined when there is none. Throws TamperedBundle. One that is byte for byte what was verified last is not verified again: with
   * 10,000 principals that takes a third of a second, and it is looked at every 15 s.
   */
  async load(): Promise<Opened | undefined> {
    const raw = await this.reached(() =>
      this.bundles.findOne({ _id: bundleId }, { projection: { _id: 0, outbox: 0, owed: 0 }, raw: true }),
    );
    if (!raw) return undefined;
    // With `raw` the driver gives the document's BSON.
    const bson = raw as unknown as Uint8Array;
    const digest = createHash('sha256').update(bson).digest('base64url');
    if (this.verified?.digest !== digest) this.verified = { digest, opened: openBundle(BSON.deserialize(bson), this.trusted) };
    return this.verified.opened;
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
  async replace(basedOn: number, stored: StoredBundle, outbox: OutboxEntry[], owed: OwedRecord[]): Promise<boolean> {
    // A part that the bundle no longer has must not stay behind: it would be taken for somebody's edit.
    const left = Object.keys(PolicyBundle.shape).filter((part) => !(part in stored));
    const change = {
      $set: stored,
      ...(left.length > 0 ? { $unset: Object.fromEntries(left.map((part) => [part, '' as const])) } : {}),
      $push: { outbox: { $each: outbox }, owed: { $each: owed } },
    };
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

  private reached<T>(ask: () => Promise<T>, expected?: (error: unknown) => boolean): Promise<T> {
    return storeAnswer(this.client, () => givenUpAfter(ask()), expected);
  }
}

const isOutboxEntry = (entry: unknown): entry is OutboxEntry => {
  const { id, kind, event } = (entry ?? {}) as { id?: unknown; kind?: unknown; event?: { type?: unknown } | null };
  return typeof id === 'string' && (kind === 'view' || (kind === 'event' && typeof event?.type === 'string'));
};

const isDuplicate = (error: unknown) => error instanceof MongoServerError && error.code === duplicateKey;
