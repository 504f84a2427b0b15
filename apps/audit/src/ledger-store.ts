import { givenUpAfter } from '@claviger/operability';
import { type Collection, type Db, type Document, MongoServerError } from 'mongodb';
import {
  bytesOf,
  type ChainDocument,
  chainDocument,
  chainOf,
  type EntryDocument,
  entryDocument,
  type HeadDocument,
  headDocument,
  headOf,
  type TileDocument,
  tileDocument,
} from './documents';
import type { Recalled, Step } from './fold';
import { emptyHead, type Head, headPosition } from './head';
import { duplicateKey, insertNew } from './insert-new';
import { SegmentStore } from './segment-store';

/**
 * The ledger in the document store. Contract: what lies beyond the head is not true yet. A step is written in the order entries, tiles,
 * retired chains, segments, then the head, by one compare-and-set on its revision; every document before the head is a function of the head it follows
 * and of the stream, so writing it again after a crash, or beside a second sequencer, writes the same bytes. Only a higher term (other rules)
 * replaces what a lower one left uncommitted.
 */
export class LedgerStore {
  readonly entries: Collection<EntryDocument>;
  readonly tiles: Collection<TileDocument>;
  readonly segments: SegmentStore;
  private readonly heads: Collection<HeadDocument>;
  private readonly chains: Collection<ChainDocument>;

  constructor(private readonly db: Db) {
    this.entries = db.collection('entries');
    this.tiles = db.collection('tiles');
    this.segments = new SegmentStore(db);
    this.heads = db.collection('head');
    this.chains = db.collection('chains');
  }

  /** Indexes, and the empty head when there is none. Idempotent. */
  async prepare(rules: string): Promise<void> {
    await this.entries.createIndexes([{ key: { firstIndex: 1 } }, { key: { batch: 1 } }, { key: { traces: 1 }, sparse: true }]);
    await this.chains.createIndex({ chain: 1 });
    await this.segments.prepare();
    if (!(await this.heads.findOne({ _id: 'log' })))
      await this.heads.insertOne(headDocument(emptyHead(rules))).catch((error: unknown) => {
        if (!isDuplicate(error)) throw error;
      });
  }

  async ping(): Promise<void> {
    await this.db.command({ ping: 1 });
  }

  async loadHead(): Promise<Head> {
    const document = await this.heads.findOne({ _id: 'log' });
    // Prepared above and never deleted: a head that is gone is a store that lost data, not an empty ledger.
    if (!document) throw new Error('the ledger has no head: the store lost it');
    return headOf(document);
  }

  /** Stores a step. False when another sequencer moved the head first. A throw leaves it unknown whether the head has moved: load it again. */
  async commit(from: Head, step: Step): Promise<boolean> {
    await this.writeEntries(step);
    await this.writeTiles(step);
    await this.writeRetired(step);
    await givenUpAfter(this.segments.add(step.entries));
    return givenUpAfter(this.moveHead(from, step.head));
  }

  async writeEntries({ entries, head }: Step): Promise<void> {
    await put(
      this.entries,
      entries.map((entry) => entryDocument(entry, head.term)),
      head.term,
    );
  }

  async writeTiles({ tiles, head }: Step): Promise<void> {
    await put(
      this.tiles,
      tiles.map((tile) => tileDocument(tile, head.term)),
      head.term,
    );
  }

  async writeRetired({ retired, head }: Step): Promise<void> {
    await put(
      this.chains,
      retired.map((state) => chainDocument(state, head.term)),
      head.term,
    );
  }

  async moveHead(from: Head, to: Head): Promise<boolean> {
    const { matchedCount } = await this.heads.replaceOne({ _id: 'log', revision: from.revision }, headDocument(to));
    return matchedCount === 1;
  }

  /** Committed facts that the head does not hold: chains that left it, batches that came before. */
  async recall(head: Head, wanted: { chains: string[]; batches: string[] }): Promise<Recalled> {
    const committed = { $lte: headPosition(head) };
    const [chains, batches] = await Promise.all([
      wanted.chains.length === 0 ? [] : this.chains.find({ chain: { $in: wanted.chains }, position: committed }).toArray(),
      wanted.batches.length === 0
        ? []
        : this.entries
            .find({ batch: { $in: wanted.batches }, _id: committed })
            .project<Pick<EntryDocument, 'batch' | 'batchHash'>>({ batch: 1, batchHash: 1 })
            .toArray(),
    ]);
    return {
      chains: chains.sort((a, b) => a.position - b.position).map(chainOf),
      batches: new Map(batches.flatMap(({ batch, batchHash }) => (batch && batchHash ? [[batch, bytesOf(batchHash)] as const] : []))),
    };
  }
}

/** Inserts documents that nobody ever changes. One that is there is the same, unless a lower term left it there. */
async function put<T extends Document & { term: number }>(collection: Collection<T>, documents: T[], term: number): Promise<void> {
  const there = await insertNew(collection, documents);
  if (there.length === 0) return;
  const replacements = there.map((document) => ({
    replaceOne: { filter: { _id: document._id, term: { $lt: term } } as never, replacement: document as never },
  }));
  await givenUpAfter(collection.bulkWrite(replacements, { ordered: false }));
}

export const isDuplicate = (error: unknown): boolean => error instanceof MongoServerError && error.code === duplicateKey;
