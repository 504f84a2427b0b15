import { ProblemError } from '@claviger/contracts';
import type { OutboxPage, OutboxSource } from '@claviger/messaging';
import { type OwedPage, type OwedRecord, type OwedRecordSource, TamperedDocuments } from '@claviger/service';
import type { Collection, Db, Filter } from 'mongodb';
import { type KeyAlias, targetOf } from './alias';
import { isDuplicate, isOutboxEntry, nextOf, type OutboxEntry, reached } from './key-store';
import { SettledEntries } from './settled-entries';
import { type SignedDocuments, TamperedDocument } from './signed-documents';
import { tellTampering } from './tell-tampering';

/** What a change of an alias leaves in its document until it is delivered. */
export type AliasEntry = Extract<OutboxEntry, { kind: 'view' | 'event' }>;

export interface AliasDocument {
  _id: string;
  revision: number;
  /** For lists by key, and not signed: where it points; null once deleted. */
  keyId: string | null;
  signed: string;
  outbox: AliasEntry[];
  owed: OwedRecord[];
  /** True while `outbox` or `owed` is not empty. */
  pending: boolean;
}

export interface AliasPage {
  /** Also those that are deleted. */
  aliases: KeyAlias[];
  /** Those among them of which the index says what is not so. */
  misindexed: KeyAlias[];
  /** After which alias the next page begins; undefined after the last. */
  next: string | undefined;
}

/** One signed document an alias, changed by one compare-and-set on its revision, as keys are. */
export class AliasStore implements OutboxSource<AliasEntry>, OwedRecordSource {
  private readonly aliases: Collection<AliasDocument>;
  private readonly settled: SettledEntries;
  private readonly tampered: TamperedDocuments;
  private readonly tamperedIndexes: TamperedDocuments;

  constructor(
    db: Db,
    private readonly documents: SignedDocuments,
    onTampered: (id: string, reason: string) => void,
  ) {
    this.aliases = db.collection('aliases');
    this.settled = new SettledEntries(db.collection('aliases'), reached);
    this.tampered = new TamperedDocuments(onTampered);
    this.tamperedIndexes = new TamperedDocuments(onTampered);
  }

  async createIndexes(): Promise<void> {
    await reached(() => this.aliases.createIndex({ keyId: 1, _id: 1 }));
    await reached(() => this.aliases.createIndex({ pending: 1 }));
  }

  /** Also one that is deleted. Throws TamperedDocument when it is not what this service signed last. */
  async get(alias: string): Promise<KeyAlias | undefined> {
    // Asked first: what is delivered while the store is read is no proof against what was read.
    const delivered = this.documents.delivered(alias);
    const found = await reached(() => this.aliases.findOne({ _id: alias }));
    return tellTampering(this.tampered, alias, () => {
      if (delivered !== undefined && (found?.revision ?? 0) < delivered)
        throw new TamperedDocument(alias, found ? `it is at revision ${found.revision}, the bucket at ${delivered}` : 'it is gone');
      return found ? this.read(found) : undefined;
    });
  }

  /** False when somebody else was first: then `from` is not what is stored. */
  async change(from: KeyAlias | undefined, to: KeyAlias, outbox: AliasEntry[], owed: OwedRecord[]): Promise<boolean> {
    const fields = this.fields(to);
    if (!from) {
      try {
        await reached(() => this.aliases.insertOne({ _id: to.alias, ...fields, outbox, owed, pending: true }));
        return true;
      } catch (error) {
        if (isDuplicate(error)) return false;
        throw error;
      }
    }
    const { matchedCount } = await reached(() =>
      this.aliases.updateOne(
        { _id: from.alias, revision: from.revision },
        { $set: { ...fields, pending: true }, $push: { outbox: { $each: outbox }, owed: { $each: owed } } },
      ),
    );
    return matchedCount === 1;
  }

  /** An alias of a backup, as it is stored then: one that is there already stays as it is. Whoever restores brings it to the workers. */
  async insertRestored(alias: KeyAlias): Promise<KeyAlias> {
    try {
      await reached(() => this.aliases.insertOne({ _id: alias.alias, ...this.fields(alias), outbox: [], owed: [], pending: false }));
      return alias;
    } catch (error) {
      if (!isDuplicate(error)) throw error;
    }
    const stored = await this.get(alias.alias);
    if (!stored) throw new TamperedDocument(alias.alias, 'it is gone');
    return stored;
  }

  /** By name; of one key, those that point to it. Tampered documents are passed over. */
  async list(after: string | undefined, limit: number, keyId?: string): Promise<AliasPage> {
    const query: Filter<AliasDocument> = {
      ...(after === undefined ? {} : { _id: { $gt: after } }),
      ...(keyId === undefined ? {} : { keyId }),
    };
    const found = await reached(() => this.aliases.find(query).sort({ _id: 1 }).limit(limit).toArray());
    const aliases: KeyAlias[] = [];
    const misindexed: KeyAlias[] = [];
    for (const document of found)
      try {
        const older = document.revision < (this.documents.delivered(document._id) ?? 0);
        // Older than what is delivered: changed since it was read, or put back.
        const alias = older ? await this.get(document._id) : tellTampering(this.tampered, document._id, () => this.read(document));
        if (!alias) continue;
        if (!older && document.keyId !== indexOf(alias)) misindexed.push(alias);
        if (keyId === undefined || targetOf(alias) === keyId) aliases.push(alias);
      } catch (error) {
        if (!(error instanceof TamperedDocument)) throw error;
      }
    return { aliases, misindexed, next: nextOf(found, limit) };
  }

  async reindex(alias: KeyAlias): Promise<void> {
    await reached(() => this.aliases.updateOne({ _id: alias.alias, revision: alias.revision }, { $set: { keyId: indexOf(alias) } }));
  }

  /** How many point to the key, and how many names were ever given, about. */
  async counts(keyId: string): Promise<{ ofKey: number; total: number }> {
    const [ofKey, total] = await reached(() =>
      Promise.all([this.aliases.countDocuments({ keyId }), this.aliases.estimatedDocumentCount()]),
    );
    return { ofKey, total };
  }

  async pending(limit: number, after?: string): Promise<OutboxPage<AliasEntry>> {
    await this.settled.clear();
    const found = await this.withEntries('outbox', limit, after);
    const items = found.flatMap(({ _id, outbox }) =>
      this.entriesOf(_id, outbox).map((entry) => ({ aggregateId: _id, entryId: entry.id, entry })),
    );
    return { items, next: nextOf(found, limit) };
  }

  remove(alias: string, entryIds: string[]): Promise<void> {
    return this.settled.remove(alias, 'outbox', entryIds);
  }

  async owed(limit: number, after?: string): Promise<OwedPage> {
    const found = await this.withEntries('owed', limit, after);
    return { items: found.map(({ _id, owed }) => ({ aggregateId: _id, entries: owed })), next: nextOf(found, limit) };
  }

  removeOwed(alias: string, ids: string[]): Promise<void> {
    return this.settled.remove(alias, 'owed', ids);
  }

  private fields(alias: KeyAlias) {
    return { revision: alias.revision, keyId: indexOf(alias), signed: this.documents.signAlias(alias) };
  }

  /** Where it is listed is not signed: that it was changed is told, and no more. */
  private read({ _id, revision, keyId, signed }: AliasDocument): KeyAlias {
    const alias = this.documents.readAlias(_id, revision, signed);
    if (keyId === indexOf(alias)) this.tamperedIndexes.well(_id);
    else this.tamperedIndexes.found(_id, 'index: keyId is not what is signed');
    return alias;
  }

  private withEntries(list: 'outbox' | 'owed', limit: number, after = ''): Promise<AliasDocument[]> {
    const query = { pending: true, _id: { $gt: after }, [`${list}.0`]: { $exists: true } } as Filter<AliasDocument>;
    return reached(() => this.aliases.find(query).sort({ _id: 1 }).limit(limit).toArray());
  }

  /** Whatever somebody else wrote there stops no sweep. */
  private entriesOf(alias: string, outbox: unknown): AliasEntry[] {
    const entries: unknown[] = Array.isArray(outbox) ? outbox : [outbox];
    const ours = entries.filter((entry): entry is AliasEntry => isOutboxEntry(entry) && (entry.kind === 'view' || entry.kind === 'event'));
    if (ours.length < entries.length) this.tampered.found(alias, 'outbox: it holds what is no message');
    return ours;
  }
}

const indexOf = (alias: KeyAlias): string | null => targetOf(alias) ?? null;

export const noSuchAlias = () => new ProblemError('ERR_KEY_UNKNOWN', 'No key has this alias.');
