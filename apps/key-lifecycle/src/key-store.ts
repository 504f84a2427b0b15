import { type CloudEvent, ProblemError } from '@claviger/contracts';
import type { OutboxItem, OutboxSource } from '@claviger/messaging';
import type { OwedRecord, OwedRecordSource } from '@claviger/service';
import { type Collection, type Db, MongoError, MongoServerError } from 'mongodb';
import type { Key } from './key';
import { type Kek, type SignedDocuments, TamperedDocument } from './signed-documents';

/** What a change leaves behind in its own document until it is delivered. `view` has no body: the newest verified state is what workers get. */
export type OutboxEntry = { id: string; kind: 'view' } | { id: string; kind: 'event'; event: CloudEvent };

interface KeyDocument {
  _id: string;
  revision: number;
  name: string;
  deletionAt: string | null;
  signed: string;
  outbox: OutboxEntry[];
  /** Who made the changes whose records are not known to be in the ledger. */
  owed: OwedRecord[];
  /** True while `outbox` or `owed` is not empty: what the sweeps look for. */
  pending: boolean;
}
interface KekDocument {
  _id: string;
  signed: string;
}

/** One document a key, changed by one compare-and-set on its revision, outgoing messages and the record of who did it included. */
export class KeyStore implements OutboxSource<OutboxEntry>, OwedRecordSource {
  private readonly keys: Collection<KeyDocument>;
  private readonly keks: Collection<KekDocument>;
  private indexing: Promise<void> | undefined;

  /** `onTampered` hears of documents that a reader of many passes over. */
  constructor(
    db: Db,
    private readonly documents: SignedDocuments,
    private readonly onTampered: (error: TamperedDocument) => void,
  ) {
    this.keys = db.collection('keys');
    this.keks = db.collection('keks');
  }

  createIndexes(): Promise<void> {
    this.indexing ??= reached(async () => {
      await this.keys.createIndex({ name: 1 }, { unique: true });
      await this.keys.createIndex({ pending: 1 });
      await this.keys.createIndex({ deletionAt: 1 });
    }).catch((error) => {
      this.indexing = undefined;
      throw error;
    });
    return this.indexing;
  }

  /** Throws TamperedDocument when it is not what this service signed last. */
  async get(keyId: string): Promise<Key | undefined> {
    // Asked first: what is delivered while the store is read is no proof against what was read.
    const delivered = this.documents.delivered(keyId);
    const found = await reached(() => this.keys.findOne({ _id: keyId }));
    assertNotOlder(keyId, found?.revision, delivered);
    return found ? this.documents.readKey(found._id, found.revision, found.signed) : undefined;
  }

  /** Throws ERR_CONFLICT when the name is taken. */
  async insert(key: Key, outbox: OutboxEntry[], owed: OwedRecord[]): Promise<void> {
    // Without them two keys could have one name.
    await this.createIndexes();
    try {
      await reached(() => this.keys.insertOne({ _id: key.keyId, ...this.fields(key), outbox, owed, pending: true }));
    } catch (error) {
      if (isDuplicate(error)) throw new ProblemError('ERR_CONFLICT', `There is a key named ${key.name} already.`);
      throw error;
    }
  }

  /** False when somebody else changed it since it was read. */
  async change(from: Key, to: Key, outbox: OutboxEntry[], owed: OwedRecord[]): Promise<boolean> {
    const { matchedCount } = await reached(() =>
      this.keys.updateOne(
        { _id: from.keyId, revision: from.revision },
        { $set: { ...this.fields(to), pending: true }, $push: { outbox: { $each: outbox }, owed: { $each: owed } } },
      ),
    );
    return matchedCount === 1;
  }

  /** One page by id, and after which id the next begins. Tampered documents are passed over. */
  async list(after: string | undefined, limit: number): Promise<{ keys: Key[]; next: string | undefined }> {
    const found = await reached(() =>
      this.keys
        .find(after === undefined ? {} : { _id: { $gt: after } })
        .sort({ _id: 1 })
        .limit(limit)
        .toArray(),
    );
    return { keys: await this.untampered(found), next: found.length === limit ? found.at(-1)?._id : undefined };
  }

  /** Keys whose waiting period has ended. */
  async dueForDestruction(now: string): Promise<Key[]> {
    const found = await reached(() =>
      this.keys
        .find({ deletionAt: { $lte: now, $ne: null } })
        .limit(100)
        .toArray(),
    );
    return this.untampered(found);
  }

  async kek(kekId: string): Promise<Kek | undefined> {
    const delivered = this.documents.delivered(kekId);
    const found = await reached(() => this.keks.findOne({ _id: kekId }));
    // One that the workers have and the store has not is lost, not absent: a new one would be another key under its name.
    if (!found) assertNotOlder(kekId, undefined, delivered);
    return found ? this.documents.readKek(found._id, found.signed) : undefined;
  }

  /** The KEK that is stored: the given one, or that of whoever was first. */
  async claimKek(kek: Kek): Promise<Kek> {
    try {
      await reached(() => this.keks.insertOne({ _id: kek.kekId, signed: this.documents.signKek(kek) }));
      return kek;
    } catch (error) {
      if (!isDuplicate(error)) throw error;
      const first = await this.kek(kek.kekId);
      if (!first) throw new ProblemError('ERR_CONFLICT');
      return first;
    }
  }

  async allKeks(): Promise<Kek[]> {
    const found = await reached(() => this.keks.find().toArray());
    return found.map((d) => this.documents.readKek(d._id, d.signed));
  }

  async pending(limit: number): Promise<OutboxItem<OutboxEntry>[]> {
    const found = await reached(() => this.keys.find({ pending: true }).limit(limit).toArray());
    return found.flatMap((d) => d.outbox.map((entry) => ({ aggregateId: d._id, entryId: entry.id, entry })));
  }

  async remove(keyId: string, entryIds: string[]): Promise<void> {
    await reached(() => this.keys.updateOne({ _id: keyId }, { $pull: { outbox: { id: { $in: entryIds } } } }));
    await this.settled(keyId);
  }

  async owed(before: string, limit: number): Promise<OutboxItem<OwedRecord>[]> {
    const found = await reached(() =>
      this.keys
        .find({ pending: true, 'owed.at': { $lt: before } })
        .limit(limit)
        .toArray(),
    );
    return found.flatMap((d) => d.owed.filter(({ at }) => at < before).map((entry) => ({ aggregateId: d._id, entryId: entry.id, entry })));
  }

  async removeOwed(keyId: string, ids: string[]): Promise<void> {
    await reached(() => this.keys.updateOne({ _id: keyId }, { $pull: { owed: { id: { $in: ids } } } }));
    await this.settled(keyId);
  }

  async ping(): Promise<void> {
    await reached(() => this.keys.findOne({}, { projection: { _id: 1 } }));
  }

  private async untampered(documents: KeyDocument[]): Promise<Key[]> {
    const keys: Key[] = [];
    for (const { _id, revision, signed } of documents)
      try {
        const older = revision < (this.documents.delivered(_id) ?? 0);
        // Older than what is delivered: changed since it was read, or put back.
        const key = older ? await this.get(_id) : this.documents.readKey(_id, revision, signed);
        if (key) keys.push(key);
      } catch (error) {
        if (!(error instanceof TamperedDocument)) throw error;
        this.onTampered(error);
      }
    return keys;
  }

  /** Also of documents from before there was `owed`. */
  private async settled(keyId: string): Promise<void> {
    const nothingLeft = { _id: keyId, 'outbox.0': { $exists: false }, 'owed.0': { $exists: false } };
    await reached(() => this.keys.updateOne(nothingLeft, { $set: { pending: false } }));
  }

  private fields(key: Key) {
    // A destroyed key waits for nothing any more.
    const waits = key.deletionAt !== undefined && key.versions.some((v) => v.state !== 'destroyed');
    return {
      revision: key.revision,
      name: key.name,
      deletionAt: waits ? (key.deletionAt as string) : null,
      signed: this.documents.signKey(key),
    };
  }
}

function assertNotOlder(id: string, revision: number | undefined, delivered: number | undefined): void {
  if (delivered !== undefined && (revision ?? 0) < delivered)
    throw new TamperedDocument(id, revision === undefined ? 'it is gone' : `it is at revision ${revision}, the bucket at ${delivered}`);
}

const isDuplicate = (error: unknown) => error instanceof MongoServerError && error.code === 11000;

/** A store that does not answer is said so; whether a write happened is then unknown. */
async function reached<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof MongoError && !(error instanceof MongoServerError))
      throw new ProblemError('ERR_STORE_UNAVAILABLE', undefined, { cause: error });
    throw error;
  }
}
