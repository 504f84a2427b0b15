import { type CloudEvent, type KeyFilter, ProblemError, type TokenKey } from '@claviger/contracts';
import type { OutboxPage, OutboxSource } from '@claviger/messaging';
import { givenUpAfter, StoreSilent } from '@claviger/operability';
import { type OwedPage, type OwedRecord, type OwedRecordSource, TamperedDocuments } from '@claviger/service';
import { LRUCache } from 'lru-cache';
import { type Collection, type Db, MongoError, MongoServerError } from 'mongodb';
import { type BackupsOf, destructionOf, isDestruction } from './destruction';
import { isQuick, putOff } from './due-bounds';
import { type Invocations, noInvocations } from './invocations';
import { abandoned, type Key } from './key';
import { asksForUsageCheck, dueAt } from './key-dates';
import { indexFormat, isMeant } from './key-facets';
import { KeyInserts } from './key-inserts';
import {
  facetsIndex,
  type IndexFields,
  type IndexName,
  indexFieldsOf,
  indexFor,
  isFiltered,
  keyIndexes,
  manyMeant,
  misindexedFields,
  queryFor,
  withFacets,
} from './key-query';
import { SettledEntries } from './settled-entries';
import { type SignedDocuments, TamperedDocument } from './signed-documents';
import { tellTampering } from './tell-tampering';

/** What a change leaves behind in its own document until it is delivered. `view` has no body: the newest verified state is what workers get. */
export type OutboxEntry =
  | { id: string; kind: 'view' }
  | { id: string; kind: 'event'; event: CloudEvent }
  /** An object of the token that no version has any more. Signed, for whoever writes to the store must not be able to have a key destroyed. */
  | { id: string; kind: 'token-key'; signed: string }
  /** What the certificate of the key's destruction will say: issued when every entry before it is delivered. Signed, for it will be believed. */
  | { id: string; kind: 'destruction'; signed: string };

export interface KeyDocument extends IndexFields {
  _id: string;
  revision: number;
  name: string;
  /** When the next thing is due that happens, or is told, by itself. */
  dueAt: string | null;
  /** The count of encryptions may have come to where the key is rotated. */
  checkUsage?: true;
  /** What comes next takes no new material: a hint, not signed, which keys to look after first. */
  quick?: boolean;
  /** Until then one replica has in hand what is due, or has failed at it. */
  claimedUntil?: string | null;
  /** So often in a row. */
  failures?: number;
  /** Signed: what was told of times that come. Absent before the first. */
  told?: string;
  signed: string;
  /** Of its destruction, signed; absent before it is issued. */
  certificate?: string;
  /** Signed as well: a count that somebody set back would let a key encrypt too often. */
  invocations: string;
  outbox: OutboxEntry[];
  /** Who made the changes whose records are not known to be in the ledger. */
  owed: OwedRecord[];
  /** True while `outbox` or `owed` is not empty: what the sweeps look for. */
  pending: boolean;
}
const countForMs = 60_000;

/** The lists and signatures that lie in a key's document beside it, left out where only the key is read: they are half of it. */
const besideTheKey = { outbox: 0, owed: 0, invocations: 0, told: 0, certificate: 0 } as const;
type StoredKey = Omit<KeyDocument, keyof typeof besideTheKey>;

export interface StoredInvocations {
  invocations: Invocations;
  /** As it stands there: what the next change is compared with. */
  signed: string;
}

/** One page by id. */
export interface KeyPage {
  keys: Key[];
  /** Those among them of which the indexes say what is not so, or to which what is due was put off. */
  misindexed: Key[];
  /** Ids of documents that somebody else wrote: what key they hold is not known. */
  unread: string[];
  /** After which id the next page begins; undefined after the last. */
  next: string | undefined;
}

/**
 * One document a key, changed by one compare-and-set on its revision, outgoing messages and the record of who did it included. All of it is one class,
 * and longer than others, since whatever reads a document here must read it by the same checks and tell of it in the same way.
 */
export class KeyStore implements OutboxSource<OutboxEntry>, OwedRecordSource {
  private readonly keys: Collection<KeyDocument>;
  private readonly inserts: KeyInserts;
  private readonly settled: SettledEntries;
  private readonly tampered: TamperedDocuments;
  private readonly tamperedOutboxes: TamperedDocuments;
  private readonly tamperedIndexes: TamperedDocuments;
  private readonly tamperedDates: TamperedDocuments;
  private allIndexed = false;
  private counted = { all: 0, at: Number.NEGATIVE_INFINITY };
  /** By what was asked for: page after page of it is read by the same index. */
  private readonly indexes = new LRUCache<string, IndexName>({ max: 1_000, ttl: countForMs });
  private indexing: Promise<void> | undefined;

  /** `onTampered` hears of every document that somebody else than this service wrote, whoever reads it. */
  constructor(
    db: Db,
    private readonly documents: SignedDocuments,
    onTampered: (id: string, reason: string) => void,
  ) {
    this.tampered = new TamperedDocuments(onTampered);
    this.tamperedOutboxes = new TamperedDocuments(onTampered);
    this.tamperedIndexes = new TamperedDocuments(onTampered);
    this.tamperedDates = new TamperedDocuments(onTampered);
    this.keys = db.collection('keys');
    this.inserts = new KeyInserts(this.keys, reached);
    this.settled = new SettledEntries(db.collection('keys'), reached);
  }

  createIndexes(): Promise<void> {
    this.indexing ??= reached(async () => {
      await this.keys.createIndex({ name: 1 }, { unique: true });
      await this.keys.createIndex({ pending: 1 });
      await this.keys.createIndex({ dueAt: 1 });
      await this.keys.createIndex({ quick: 1, dueAt: 1 });
      await this.keys.createIndex({ checkUsage: 1 });
      for (const fields of keyIndexes) await this.keys.createIndex(fields);
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
    const found: StoredKey | null = await reached(() => this.keys.findOne({ _id: keyId }, { projection: besideTheKey }));
    return this.told(keyId, () => {
      assertNotOlder(keyId, found?.revision, delivered);
      return found ? this.read(found).key : undefined;
    });
  }

  /** Throws ERR_CONFLICT when the name is taken. */
  async insert(key: Key, outbox: OutboxEntry[], owed: OwedRecord[]): Promise<void> {
    // Without them two keys could have one name.
    await this.createIndexes();
    await this.settled.room();
    try {
      const [fields, invocations] = await Promise.all([this.fields(key), this.documents.signInvocations(noInvocations(key.keyId))]);
      await this.inserts.insert({ _id: key.keyId, ...fields, invocations, outbox, owed, pending: true });
    } catch (error) {
      if (isDuplicate(error)) throw new ProblemError('ERR_CONFLICT', `There is a key named ${key.name} already.`);
      throw error;
    }
  }

  /**
   * Keys of a backup, as they are stored then: those that are there already stay as they are. Whoever restores brings them to the workers.
   * Throws ERR_CONFLICT when a name is another key's.
   */
  async insertRestored(all: readonly { key: Key; invocations: string }[]): Promise<Key[]> {
    await this.createIndexes();
    const documents = await Promise.all(
      all.map(async ({ key, invocations }) => ({
        ...{ _id: key.keyId, ...(await this.fields(key)), invocations },
        ...{ outbox: [], owed: [], pending: false },
      })),
    );
    try {
      await reached(() => this.keys.insertMany(documents, { ordered: false }));
      return all.map(({ key }) => key);
    } catch (error) {
      if (!isDuplicate(error)) throw error;
    }
    const stored = await Promise.all(all.map(({ key }) => this.get(key.keyId)));
    const lacking = all.find((_, i) => stored[i] === undefined);
    if (lacking) throw new ProblemError('ERR_CONFLICT', `There is another key named ${lacking.key.name}.`);
    return stored as Key[];
  }

  /** False when somebody else changed it since it was read. */
  async change(from: Key, to: Key, messages: OutboxEntry[], owed: OwedRecord[]): Promise<boolean> {
    const outbox = [...messages, ...abandoned(from, to).map((object) => this.toDestroy(to, object)), ...this.toCertify(from, to)];
    const fields = await this.fields(to);
    const { matchedCount } = await reached(() =>
      this.keys.updateOne(
        { _id: from.keyId, revision: from.revision },
        {
          $set: {
            ...fields,
            ...(asksForUsageCheck(from, to) ? { checkUsage: true } : {}),
            claimedUntil: null,
            failures: 0,
            pending: true,
          },
          $push: { outbox: { $each: outbox }, owed: { $each: owed } },
        },
      ),
    );
    return matchedCount === 1;
  }

  /** What an entry of the outbox says is to be destroyed. Throws TamperedDocument. */
  abandoned(keyId: string, signed: string): TokenKey {
    return this.told(keyId, () => this.documents.readAbandoned(keyId, signed));
  }

  private toDestroy({ keyId, revision }: Key, object: TokenKey): OutboxEntry {
    return { id: `${keyId}.${revision}.${object.label}`, kind: 'token-key', signed: this.documents.signAbandoned(keyId, object) };
  }

  private toCertify(from: Key, to: Key): OutboxEntry[] {
    if (!isDestruction(from, to)) return [];
    return [
      {
        id: `${to.keyId}.${to.revision}.destruction`,
        kind: 'destruction',
        signed: this.documents.signDestruction(destructionOf(from, to)),
      },
    ];
  }

  /**
   * The certificate of the key's destruction: the one that was issued, or one that is issued now from what the outbox says. While `backupsOf` cannot say
   * where the material still lies, none is. Throws TamperedDocument.
   */
  async certified(keyId: string, signed: string, issuedAt: string, backupsOf: BackupsOf): Promise<string> {
    const destruction = this.told(keyId, () => this.documents.readDestruction(keyId, signed));
    const before = await this.certificate(keyId);
    if (before !== undefined) return before;
    const certificate = this.documents.signCertificate({ ...destruction, issuedAt, backups: await backupsOf(destruction) });
    const { matchedCount } = await reached(() =>
      this.keys.updateOne({ _id: keyId, certificate: { $exists: false } }, { $set: { certificate } }),
    );
    if (matchedCount === 1) return certificate;
    const issued = await this.certificate(keyId);
    if (issued === undefined) throw new TamperedDocument(keyId, 'it is gone');
    return issued;
  }

  /** Undefined while none is issued. Throws TamperedDocument. */
  async certificate(keyId: string): Promise<string | undefined> {
    const found = await reached(() => this.keys.findOne({ _id: keyId }, { projection: { certificate: 1 } }));
    const certificate = found?.certificate;
    if (certificate === undefined) return undefined;
    this.told(keyId, () => this.documents.readCertificate(keyId, certificate));
    return certificate;
  }

  /** Undefined when there is no such key. Throws TamperedDocument. */
  async invocations(keyId: string): Promise<StoredInvocations | undefined> {
    const found = await reached(() => this.keys.findOne({ _id: keyId }, { projection: { invocations: 1 } }));
    return found
      ? { invocations: this.told(keyId, () => this.documents.readInvocations(keyId, found.invocations)), signed: found.invocations }
      : undefined;
  }

  /** False when somebody else changed them since they were read. What there is to tell is also a reason to look whether the key is to be rotated. */
  async changeInvocations(from: StoredInvocations, to: Invocations, outbox: OutboxEntry[]): Promise<boolean> {
    const told = outbox.length === 0 ? {} : { $push: { outbox: { $each: outbox } } };
    const set = {
      invocations: await this.documents.signInvocations(to),
      ...(outbox.length === 0 ? {} : { pending: true, checkUsage: true as const }),
    };
    const { matchedCount } = await reached(() => this.keys.updateOne({ _id: to.keyId, invocations: from.signed }, { $set: set, ...told }));
    return matchedCount === 1;
  }

  /**
   * Keys that the filter means, by their signed content; the indexes only say where to look. Tampered documents are passed over.
   * Throws ERR_STATE_STALE for a filter before every document is known to be indexed.
   */
  async list(after: string | undefined, limit: number, filter: KeyFilter = {}): Promise<KeyPage> {
    if (isFiltered(filter) && !this.allIndexed)
      throw new ProblemError('ERR_STATE_STALE', 'The index of keys is being built: ask again in a while, or without a filter.');
    const hint = await this.indexOf(filter, limit);
    const found = await reached(() =>
      this.keys.find(queryFor<KeyDocument>(filter, after), { projection: besideTheKey }).sort({ _id: 1 }).limit(limit).hint(hint).toArray(),
    );
    const read = await this.untampered(found);
    const misindexed = new Set(read.misindexed);
    return {
      keys: isFiltered(filter) ? read.keys.filter((key) => isMeant(key, filter)) : read.keys,
      misindexed: read.keys.filter(({ keyId }) => misindexed.has(keyId)),
      unread: read.unread,
      next: found.length === limit ? found.at(-1)?._id : undefined,
    };
  }

  /** Where many keys are meant, the walk of all documents by id is shorter than a sort of those (`manyMeant`). */
  private async indexOf(filter: KeyFilter, limit: number): Promise<IndexName> {
    const index = indexFor(filter);
    if (index !== facetsIndex) return index;
    const asked = JSON.stringify([withFacets(filter), limit]);
    const before = this.indexes.get(asked);
    if (before) return before;
    const many = manyMeant(limit, await this.count());
    const counted = await reached(() => this.keys.countDocuments(withFacets<KeyDocument>(filter), { hint: index, limit: many }));
    const chosen = counted >= many ? '_id_' : index;
    this.indexes.set(asked, chosen);
    return chosen;
  }

  /** About how many documents there are, as of a minute ago at most. */
  private async count(): Promise<number> {
    if (performance.now() - this.counted.at > countForMs)
      this.counted = { all: await reached(() => this.keys.estimatedDocumentCount()), at: performance.now() };
    return this.counted.all;
  }

  /** Whether every document says that it is indexed as this program does it. One question to the store, which reads all documents for it. */
  async areIndexed(): Promise<boolean> {
    const other = { indexed: { $ne: indexFormat } };
    return (await reached(() => this.keys.findOne(other, { projection: { _id: 1 } }))) === null;
  }

  /** How many documents the index finds under a KEK. */
  countUnder(kekId: string): Promise<number> {
    return reached(() => this.keys.countDocuments({ facets: `kek=${kekId}` }, { hint: facetsIndex }));
  }

  /** From now on lists by filter are complete, and a document whose index is missing was tampered with. */
  indexed(): void {
    this.allIndexed = true;
  }

  /**
   * Puts right what the indexes say of a key. False when it was changed since it was read, which does the same. Where another document has its name
   * now, it gets none that a key can have, until that one is put right as well: one document must not stop the repair of the others.
   */
  async reindex(key: Key): Promise<boolean> {
    const write = async (name: string) => {
      // Due again at the earliest: the sweep finds out what is left to do.
      const set = { name, ...indexFieldsOf(key), dueAt: dueAt(key) ?? null, quick: isQuick(key), claimedUntil: null };
      return reached(() => this.keys.updateOne({ _id: key.keyId, revision: key.revision }, { $set: set }));
    };
    const { matchedCount } = await write(key.name).catch((error) => {
      if (isDuplicate(error)) return write(`!${key.keyId}`);
      throw error;
    });
    return matchedCount === 1;
  }

  async pending(limit: number, after?: string): Promise<OutboxPage<OutboxEntry>> {
    await this.settled.clear();
    const found = await this.withEntries('outbox', limit, after);
    const items = found.flatMap(({ _id, outbox }) =>
      this.entriesOf(_id, outbox).map((entry) => ({ aggregateId: _id, entryId: entry.id, entry })),
    );
    return { items, next: nextOf(found, limit) };
  }

  async remove(keyId: string, entryIds: string[]): Promise<void> {
    await this.settled.remove(keyId, 'outbox', entryIds);
  }

  async owed(limit: number, after?: string): Promise<OwedPage> {
    const found = await this.withEntries('owed', limit, after);
    return { items: found.map(({ _id, owed }) => ({ aggregateId: _id, entries: owed })), next: nextOf(found, limit) };
  }

  async removeOwed(keyId: string, ids: string[]): Promise<void> {
    await this.settled.remove(keyId, 'owed', ids);
  }

  async ping(): Promise<void> {
    await reached(() => this.keys.findOne({}, { projection: { _id: 1 } }));
  }

  private async untampered(documents: StoredKey[]): Promise<{ keys: Key[]; misindexed: string[]; unread: string[] }> {
    const keys: Key[] = [];
    const unread: string[] = [];
    const misindexed: string[] = [];
    for (const document of documents)
      try {
        const { _id, revision } = document;
        const older = revision < (this.documents.delivered(_id) ?? 0);
        // Older than what is delivered: changed since it was read, or put back.
        if (older) {
          const key = await this.get(_id);
          if (key) keys.push(key);
          continue;
        }
        const { key, isMisindexed } = this.told(_id, () => this.read(document));
        keys.push(key);
        if (isMisindexed || this.isPutOff(document, key)) misindexed.push(_id);
      } catch (error) {
        if (!(error instanceof TamperedDocument)) throw error;
        unread.push(document._id);
      }
    return { keys, misindexed, unread };
  }

  /**
   * What the indexes say is not signed, so that somebody who writes to the store can hide a key from a list by filter. The key itself is well and is
   * used; that it was hidden is told when its document is next read: by its id, in a list that finds it, at start, or by the check of the store (store-check.ts).
   */
  private read(document: StoredKey): { key: Key; isMisindexed: boolean } {
    const key = this.documents.readKey(document._id, document.revision, document.signed);
    const wrong = misindexedFields(document, key);
    if (wrong.length === 0) this.tamperedIndexes.well(key.keyId);
    // Of a document from before there was this index it is no wonder, until all are known to be indexed.
    else if (this.allIndexed || document.indexed === indexFormat)
      this.tamperedIndexes.found(key.keyId, `index: ${wrong.join(', ')} is not what is signed`);
    return { key, isMisindexed: wrong.length > 0 };
  }

  /** Told as a wrong index is: of a document from before there was this index it is no wonder. */
  private isPutOff(document: StoredKey, key: Key): boolean {
    const wrong = putOff(key, document, Date.now());
    if (wrong.length === 0) this.tamperedDates.well(key.keyId);
    else if (this.allIndexed || document.indexed === indexFormat)
      this.tamperedDates.found(key.keyId, `due: ${wrong.join(', ')} puts off what is due to the key`);
    return wrong.length > 0;
  }

  /** For what lies in a key's document beside the key. */
  told<T>(id: string, read: () => T): T {
    return tellTampering(this.tampered, id, read);
  }

  /**
   * Asked for in so many words: `pending` alone says neither which list is not empty nor that one is. By its index: FerretDB would read all ids as well, which
   * takes 18 ms for 100,000, every second.
   */
  private async withEntries(list: 'outbox' | 'owed', limit: number, after = ''): Promise<KeyDocument[]> {
    await this.createIndexes();
    return reached(() =>
      this.keys
        .find({ pending: true, _id: { $gt: after }, [`${list}.0`]: { $exists: true } })
        .sort({ _id: 1 })
        .limit(limit)
        .hint('pending_1')
        .toArray(),
    );
  }

  /** Whatever somebody else wrote there stops no sweep. */
  private entriesOf(keyId: string, outbox: unknown): OutboxEntry[] {
    const entries: unknown[] = Array.isArray(outbox) ? outbox : [outbox];
    const ours = entries.filter(isOutboxEntry);
    if (ours.length === entries.length) this.tamperedOutboxes.well(keyId);
    else this.tamperedOutboxes.found(keyId, 'outbox: it holds what is no message');
    return ours;
  }

  /** What a document says of its key. */
  async fields(key: Key) {
    return {
      revision: key.revision,
      name: key.name,
      dueAt: dueAt(key) ?? null,
      quick: isQuick(key),
      ...indexFieldsOf(key),
      signed: await this.documents.signKey(key),
    };
  }
}

function assertNotOlder(id: string, revision: number | undefined, delivered: number | undefined): void {
  if (delivered !== undefined && (revision ?? 0) < delivered)
    throw new TamperedDocument(id, revision === undefined ? 'it is gone' : `it is at revision ${revision}, the bucket at ${delivered}`);
}

export const nextOf = (found: readonly { _id: string }[], limit: number) => (found.length === limit ? found.at(-1)?._id : undefined);

export const isOutboxEntry = (entry: unknown): entry is OutboxEntry => {
  const { id, kind, event, signed } = (entry ?? {}) as {
    id?: unknown;
    kind?: unknown;
    event?: { type?: unknown } | null;
    signed?: unknown;
  };
  if (typeof id !== 'string') return false;
  if (kind === 'view') return true;
  return kind === 'event'
    ? typeof event?.type === 'string'
    : (kind === 'token-key' || kind === 'destruction') && typeof signed === 'string';
};

export const isDuplicate = (error: unknown) => error instanceof MongoServerError && error.code === 11000;

/** A store that does not answer is said so; whether a write happened is then unknown. */
export async function reached<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await givenUpAfter(call());
  } catch (error) {
    if (error instanceof StoreSilent || (error instanceof MongoError && !(error instanceof MongoServerError)))
      throw new ProblemError('ERR_STORE_UNAVAILABLE', undefined, { cause: error });
    throw error;
  }
}
