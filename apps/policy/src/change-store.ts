import type { KeyObject } from 'node:crypto';
import { ProblemError } from '@claviger/contracts';
import type { OutboxPage, OutboxSource, RecordSigner } from '@claviger/messaging';
import { givenUpAfter, storeOptions } from '@claviger/operability';
import { type OwedPage, type OwedRecord, type OwedRecordSource, TamperedDocuments } from '@claviger/service';
import { type Collection, type Filter, MongoClient } from 'mongodb';
import type { Change } from './change';
import { type ChangeEntry, openChange, type StoredChange, sealChange, TamperedChange } from './change-document';
import { storeAnswer } from './store-answer';

type Document = StoredChange & { _id: string; outbox: ChangeEntry[]; owed: OwedRecord[]; pending: boolean };

export interface ChangeQuery {
  state?: readonly string[];
  requester?: string;
  /** Requested before. */
  before?: string;
  expiresBefore?: string;
  limit: number;
}

/**
 * Change requests: one signed document each, changed by one compare-and-set on its revision, with its outgoing messages and the record of who did it inside.
 * Every method throws ERR_STORE_UNAVAILABLE when the document store does not answer.
 */
export class ChangeStore implements OutboxSource<ChangeEntry>, OwedRecordSource {
  private readonly changes: Collection<Document>;
  private readonly tampered: TamperedDocuments;
  private indexed: Promise<unknown> | undefined;

  constructor(
    private readonly client: MongoClient,
    database: string,
    private readonly signer: RecordSigner,
    private readonly trusted: ReadonlyMap<string, KeyObject>,
    /** The revision in the bucket, which is never ahead of the store: a document that is older was put back. */
    private readonly delivered: (id: string) => number | undefined,
    onTampered: (id: string, reason: string) => void,
  ) {
    this.changes = client.db(database).collection<Document>('changes');
    this.tampered = new TamperedDocuments(onTampered);
  }

  static open(url: string, ...rest: ConstructorParameters<typeof ChangeStore> extends [unknown, ...infer R] ? R : never): ChangeStore {
    return new ChangeStore(new MongoClient(url, { ...storeOptions, appName: 'claviger-policy-changes' }), ...rest);
  }

  /** Undefined when there is none. Throws ERR_STORE_UNAVAILABLE also when it is not what this service signed last, and tells it. */
  async get(id: string): Promise<Change | undefined> {
    // Asked first: what is delivered while the store is read is no proof against what was read.
    const delivered = this.delivered(id);
    const found = await this.reached(() => this.changes.findOne({ _id: id }));
    const change = this.genuine(id, () => {
      if (delivered !== undefined && (found?.revision ?? 0) < delivered)
        throw new TamperedChange(id, found ? `it is at revision ${found.revision}, the bucket at ${delivered}` : 'it is gone');
      return found ? openChange(id, found as never, this.trusted) : undefined;
    });
    if (change === null) throw new ProblemError('ERR_STORE_UNAVAILABLE', 'The stored change request failed verification.');
    return change;
  }

  /** Newest first; those that are not what this service signed are left out, and told. */
  async find({ state, requester, before, expiresBefore, limit }: ChangeQuery): Promise<Change[]> {
    const query: Filter<Document> = {
      ...(state ? { state: { $in: [...state] } } : {}),
      ...(requester === undefined ? {} : { requester }),
      ...(before === undefined ? {} : { requestedAt: { $lt: before } }),
      ...(expiresBefore === undefined ? {} : { expiresAt: { $lte: expiresBefore } }),
    };
    const found = await this.reached(() => this.changes.find(query).sort({ requestedAt: -1 }).limit(limit).toArray());
    return found.flatMap((one) => this.genuine(one._id, () => openChange(one._id, one as never, this.trusted)) ?? []);
  }

  count(state: readonly string[], requester?: string): Promise<number> {
    const query: Filter<Document> = { state: { $in: [...state] }, ...(requester === undefined ? {} : { requester }) };
    return this.reached(() => this.changes.countDocuments(query));
  }

  async insert(change: Change, outbox: ChangeEntry[], owed: OwedRecord): Promise<void> {
    this.indexed ??= this.reached(() =>
      Promise.all([
        this.changes.createIndex({ state: 1, expiresAt: 1 }),
        this.changes.createIndex({ requestedAt: -1 }),
        this.changes.createIndex({ pending: 1 }),
      ]),
    ).catch(() => (this.indexed = undefined));
    await this.indexed;
    await this.reached(() =>
      this.changes.insertOne({ _id: change.change, ...sealChange(change, this.signer), outbox, owed: [owed], pending: true }),
    );
  }

  /** False when somebody else was first: then `from` is not what is stored. */
  async replace(from: Change, to: Change, outbox: ChangeEntry[], owed: OwedRecord[]): Promise<boolean> {
    const update = {
      $set: { ...sealChange(to, this.signer), pending: true },
      $push: { outbox: { $each: outbox }, owed: { $each: owed } },
    };
    const { matchedCount } = await this.reached(() => this.changes.updateOne({ _id: from.change, revision: from.revision }, update));
    return matchedCount === 1;
  }

  async pending(limit: number, after?: string): Promise<OutboxPage<ChangeEntry>> {
    const found = await this.withEntries('outbox', limit, after);
    // Whatever somebody else wrote there stops no sweep.
    const items = found.flatMap(({ _id, outbox }) =>
      (Array.isArray(outbox) ? outbox : []).filter(isEntry).map((entry) => ({ aggregateId: _id, entryId: entry.id, entry })),
    );
    return { items, next: nextOf(found, limit) };
  }

  remove(id: string, entryIds: string[]): Promise<void> {
    return this.taken(id, { $pull: { outbox: { id: { $in: entryIds } } } });
  }

  async owed(limit: number, after?: string): Promise<OwedPage> {
    const found = await this.withEntries('owed', limit, after);
    return { items: found.map(({ _id, owed }) => ({ aggregateId: _id, entries: owed })), next: nextOf(found, limit) };
  }

  removeOwed(id: string, ids: string[]): Promise<void> {
    return this.taken(id, { $pull: { owed: { id: { $in: ids } } } });
  }

  close(): Promise<void> {
    return this.client.close();
  }

  private async taken(id: string, pull: Parameters<Collection<Document>['updateOne']>[1]): Promise<void> {
    await this.reached(() => this.changes.updateOne({ _id: id }, pull));
    await this.reached(() => this.changes.updateOne({ _id: id, outbox: { $size: 0 }, owed: { $size: 0 } }, { $set: { pending: false } }));
  }

  private withEntries(list: 'outbox' | 'owed', limit: number, after = ''): Promise<Document[]> {
    const query = { pending: true, _id: { $gt: after }, [`${list}.0`]: { $exists: true } } as Filter<Document>;
    return this.reached(() =>
      this.changes
        .find(query, { projection: { [list]: 1 } })
        .sort({ _id: 1 })
        .limit(limit)
        .toArray(),
    );
  }

  /** Null when somebody else wrote it. */
  private genuine<T>(id: string, read: () => T): T | null {
    try {
      const change = read();
      this.tampered.well(id);
      return change;
    } catch (error) {
      if (!(error instanceof TamperedChange)) throw error;
      this.tampered.found(id, error.message);
      return null;
    }
  }

  private reached<T>(ask: () => Promise<T>): Promise<T> {
    return storeAnswer(this.client, () => givenUpAfter(ask()));
  }
}

const nextOf = (found: readonly Document[], limit: number): string | undefined => (found.length < limit ? undefined : found.at(-1)?._id);

const isEntry = (entry: unknown): entry is ChangeEntry => {
  const { id, kind, event } = (entry ?? {}) as { id?: unknown; kind?: unknown; event?: { type?: unknown } | null };
  return typeof id === 'string' && (kind === 'view' || (kind === 'event' && typeof event?.type === 'string'));
};
