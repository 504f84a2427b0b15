import type { KeyObject } from 'node:crypto';
import { type CloudEvent, ProblemError } from '@claviger/contracts';
import { type OutboxPage, type OutboxSource, type RecordSigner, signRecord, verifyRecord } from '@claviger/messaging';
import { givenUpAfter, storeOptions } from '@claviger/operability';
import type { OwedPage, OwedRecord, OwedRecordSource } from '@claviger/service';
import { TamperedDocuments } from '@claviger/service';
import { type Collection, MongoClient, MongoServerError } from 'mongodb';
import { storeAnswer } from './store-answer';

/** What is kept: one of them is one document. */
export interface Kept {
  readonly id: string;
  /** One more with every change. */
  readonly revision: number;
}

interface Document {
  _id: string;
  revision: number;
  /** When it was made. Not signed: the order of lists. */
  at: string;
  /** When it is to be looked after; null: never. Not signed: a hint where to look. */
  dueAt: string | null;
  claimedUntil: string | null;
  signed: string;
  outbox: { id: string; event: CloudEvent }[];
  owed: OwedRecord[];
}

/** What goes into the store in one write with a change. */
export interface With {
  readonly dueAt: string | null;
  readonly events?: readonly CloudEvent[];
  readonly owed?: readonly OwedRecord[];
}

/** A document that somebody else than this service wrote: it is not used, and told. */
export class TamperedDocument extends ProblemError {
  constructor(id: string, cause: unknown) {
    super('ERR_STORE_UNAVAILABLE', `The stored document ${id} failed verification.`, { cause });
  }
}

/**
 * Documents of one kind, each signed as a whole, changed by one compare-and-set on what is signed, with outgoing events and owed records inside. Several
 * replicas may have one in hand: one of them goes on. Every method throws ERR_STORE_UNAVAILABLE when the store does not answer.
 */
export class SignedStore<T extends Kept> implements OutboxSource<CloudEvent>, OwedRecordSource {
  private readonly documents: Collection<Document>;
  private readonly tampered: TamperedDocuments;

  constructor(
    private readonly parts: {
      client: MongoClient;
      database: string;
      collection: string;
      /** JWS type. */
      typ: string;
      signer: RecordSigner;
      trusted: ReadonlyMap<string, KeyObject>;
      /** Refuses what has another shape. */
      parse: (value: unknown) => T;
      onTampered: (id: string, reason: string) => void;
    },
  ) {
    this.documents = parts.client.db(parts.database).collection<Document>(parts.collection);
    this.tampered = new TamperedDocuments(parts.onTampered);
  }

  static client(url: string): MongoClient {
    return new MongoClient(url, { ...storeOptions, appName: 'claviger-policy' });
  }

  /** False when there is one of this id. */
  async create(value: T, { dueAt, events = [], owed = [] }: With): Promise<boolean> {
    const document = {
      _id: value.id,
      revision: value.revision,
      at: new Date().toISOString(),
      dueAt,
      claimedUntil: null,
      signed: this.sign(value),
    };
    try {
      await this.reached(() => this.documents.insertOne({ ...document, outbox: outboxOf(events), owed: [...owed] }), isDuplicate);
      return true;
    } catch (error) {
      if (isDuplicate(error)) return false;
      throw error;
    }
  }

  /** Undefined when there is none. Throws TamperedDocument. */
  async get(id: string): Promise<T | undefined> {
    const found = await this.reached(() => this.documents.findOne({ _id: id }));
    return found ? this.read(found) : undefined;
  }

  /** The newest first; those that were tampered with are passed over. */
  async list(limit: number): Promise<T[]> {
    const found = await this.reached(() => this.documents.find({}).sort({ at: -1 }).limit(limit).toArray());
    return found.flatMap((document) => this.genuine(document));
  }

  /** Decides on it as it is now, and again when somebody else was first. Throws ERR_NOT_FOUND, TamperedDocument. */
  async change(id: string, decide: (value: T) => { value: T } & With): Promise<T> {
    for (;;) {
      const found = await this.reached(() => this.documents.findOne({ _id: id }));
      if (!found) throw new ProblemError('ERR_NOT_FOUND', `There is no ${id}.`);
      const { value, dueAt, events = [], owed = [] } = decide(this.read(found));
      const next = { ...value, revision: found.revision + 1 };
      const set = { revision: next.revision, dueAt, claimedUntil: null, signed: this.sign(next) };
      const push = { outbox: { $each: outboxOf(events) }, owed: { $each: [...owed] } };
      const { matchedCount } = await this.reached(() =>
        this.documents.updateOne({ _id: id, signed: found.signed }, { $set: set, $push: push }),
      );
      if (matchedCount === 1) return next;
    }
  }

  /** Something that is due and that nobody has in hand, for one replica alone until then. Undefined when there is nothing, or it was tampered with. */
  async claim(now: string, until: string): Promise<T | undefined> {
    const free = { dueAt: { $ne: null, $lte: now }, $or: [{ claimedUntil: null }, { claimedUntil: { $lte: now } }] };
    const found = await this.reached(() =>
      this.documents.findOneAndUpdate(free, { $set: { claimedUntil: until } }, { returnDocument: 'after' }),
    );
    return found ? this.read(found) : undefined;
  }

  /** By id, of those after `after`; those that were tampered with are passed over. */
  async page(limit: number, after = ''): Promise<{ values: T[]; next?: string }> {
    const found = await this.reached(() =>
      this.documents
        .find({ _id: { $gt: after } })
        .sort({ _id: 1 })
        .limit(limit)
        .toArray(),
    );
    const next = found.length === limit ? found.at(-1)?._id : undefined;
    return { values: found.flatMap((document) => this.genuine(document)), ...(next === undefined ? {} : { next }) };
  }

  /** Ids of all of them. */
  async ids(): Promise<Set<string>> {
    const found = await this.reached(() => this.documents.find({}, { projection: { _id: 1 } }).toArray());
    return new Set(found.map(({ _id }) => _id));
  }

  async delete(id: string): Promise<void> {
    await this.reached(() => this.documents.deleteOne({ _id: id, 'outbox.0': { $exists: false }, 'owed.0': { $exists: false } }));
  }

  async pending(limit: number, after = ''): Promise<OutboxPage<CloudEvent>> {
    const found = await this.holding('outbox.0', limit, after);
    const items = found.flatMap(({ _id, outbox }) =>
      (Array.isArray(outbox) ? outbox : []).filter(isEntry).map(({ id, event }) => ({ aggregateId: _id, entryId: id, entry: event })),
    );
    return { items, next: found.length === limit ? found.at(-1)?._id : undefined };
  }

  async remove(id: string, entryIds: string[]): Promise<void> {
    await this.reached(() => this.documents.updateOne({ _id: id }, { $pull: { outbox: { id: { $in: entryIds } } } }));
  }

  async owed(limit: number, after = ''): Promise<OwedPage> {
    const found = await this.holding('owed.0', limit, after);
    return {
      items: found.map(({ _id, owed }) => ({ aggregateId: _id, entries: owed })),
      next: found.length === limit ? found.at(-1)?._id : undefined,
    };
  }

  async removeOwed(id: string, ids: string[]): Promise<void> {
    await this.reached(() => this.documents.updateOne({ _id: id }, { $pull: { owed: { id: { $in: ids } } } }));
  }

  private holding(field: 'outbox.0' | 'owed.0', limit: number, after: string): Promise<Document[]> {
    return this.reached(() =>
      this.documents
        .find({ _id: { $gt: after }, [field]: { $exists: true } })
        .sort({ _id: 1 })
        .limit(limit)
        .toArray(),
    );
  }

  private genuine(document: Document): T[] {
    try {
      return [this.read(document)];
    } catch (error) {
      if (error instanceof TamperedDocument) return [];
      throw error;
    }
  }

  private sign = (value: T): string => signRecord(this.parts.typ, value, this.parts.signer);

  private read({ _id, revision, signed }: Document): T {
    const { typ, trusted, parse } = this.parts;
    try {
      const value = parse(verifyRecord(typ, signed, trusted));
      if (value.id !== _id || value.revision !== revision) throw new Error(`it holds revision ${value.revision} of ${value.id}`);
      this.tampered.well(_id);
      return value;
    } catch (error) {
      this.tampered.found(_id, error instanceof Error ? error.message : 'unreadable');
      throw new TamperedDocument(_id, error);
    }
  }

  private reached<R>(ask: () => Promise<R>, expected?: (error: unknown) => boolean): Promise<R> {
    return storeAnswer(this.parts.client, () => givenUpAfter(ask()), expected);
  }
}

const outboxOf = (events: readonly CloudEvent[]) => events.map((event) => ({ id: event.id, event }));

/** Whatever somebody else wrote there stops no sweep. */
const isEntry = (entry: unknown): entry is { id: string; event: CloudEvent } => {
  const { id, event } = (entry ?? {}) as { id?: unknown; event?: { type?: unknown } | null };
  return typeof id === 'string' && typeof event?.type === 'string';
};

const isDuplicate = (error: unknown) => error instanceof MongoServerError && error.code === 11_000;
