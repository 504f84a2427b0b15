import { type auditOperations, limits, ProblemError, type Request, type Result } from '@claviger/contracts';
import { consistencyProof, HASH_BYTES, inclusionProof, type ReadTile, TILE_WIDTH, tileWidth } from '@claviger/ledger';
import { type EntryDocument, leavesOf } from './documents';
import { type Head, headPosition } from './head';
import { LedgerStore } from './ledger-store';
import { OpenLedger } from './open-ledger';
import { entryFilter, matching, type Query, segmentQuery } from './query';
import { positionsOf } from './segment';
import { Tiles } from './tiles';

type Operations = typeof auditOperations;

/** A page must fit a reply beside its JSON: half a megabyte. */
const pageBytes = 512 * 1024;
/** Most that an honest batch gives: its records and its seal. */
const leavesPerEntry = limits.auditBatchRecords + 1;
/** Entries that one query opens at most; an unfinished one gives its cursor. */
const entriesPerQuery = 400;

/** Answers from committed state only: whatever lies beyond the head is not true yet. */
export class LedgerReader {
  constructor(
    private readonly store: LedgerStore,
    private readonly tiles: Tiles,
    private readonly ledger: Pick<OpenLedger, 'head'>,
  ) {}

  async inclusion({ index, size }: Request<Operations['inclusion']>): Promise<Result<Operations['inclusion']>> {
    const read = await this.tilesOf(size);
    const [proof, leafTile] = await Promise.all([
      inclusionProof(index, size, read),
      // An index outside the tree is refused by the proof.
      index < size ? read(0, Math.floor(index / TILE_WIDTH), tileWidth(0, Math.floor(index / TILE_WIDTH), size)) : Buffer.alloc(0),
    ]);
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    return { index, size, leafHash: text(leafTile.subarray(at, at + HASH_BYTES)), proof: proof.map(text) };
  }

  async consistency({ from, to }: Request<Operations['consistency']>): Promise<Result<Operations['consistency']>> {
    return { from, to, proof: (await consistencyProof(from, to, await this.tilesOf(to))).map(text) };
  }

  async entries({ from, limit }: Request<Operations['entries']>): Promise<Result<Operations['entries']>> {
    const head = await this.at(from + 1);
    const { size } = head.edge;
    const lines: string[] = [];
    let bytes = 0;
    let at = from;
    const position = headPosition(head);
    const first = from < size ? await this.entryOf(from, position) : undefined;
    if (first) {
      const cursor = this.store.entries
        .find({ firstIndex: { $gte: first.firstIndex, $lt: from + limit }, count: { $gt: 0 }, _id: { $lte: position } })
        .sort({ firstIndex: 1 });
      reading: for await (const entry of cursor.batchSize(20)) {
        for (const leaf of leavesOf(entry).slice(at - entry.firstIndex)) {
          if (lines.length === limit || (lines.length > 0 && bytes + leaf.length > pageBytes)) break reading;
          lines.push(leaf.toString());
          bytes += leaf.length;
          at++;
        }
      }
    }
    return { from, lines, size };
  }

  /** Newest first. `next` is the cursor: the index before which to go on. */
  async query(query: Query): Promise<Result<Operations['query']>> {
    // Loaded, not known: what another process appended a moment ago is asked for as well.
    const head = await this.at(Number.POSITIVE_INFINITY);
    const records: Result<Operations['query']>['records'] = [];
    let bytes = 0;
    let opened = 0;
    for await (const entry of this.candidates(query, head)) {
      if (++opened > entriesPerQuery) return { records, next: entry.firstIndex + entry.count };
      const leaves = leavesOf(entry);
      for (let n = leaves.length - 1; n >= 0; n--) {
        const index = entry.firstIndex + n;
        const leaf = leaves[n]!;
        if (query.before !== undefined && index >= query.before) continue;
        const record = matching(leaf, query);
        if (!record) continue;
        if (records.length === query.limit || (records.length > 0 && bytes + leaf.length > pageBytes)) return { records, next: index + 1 };
        records.push({ index, record });
        bytes += leaf.length;
      }
    }
    return { records };
  }

  /** Entries that may hold such records, newest first: a trace finds its own, everything else goes through the segments. */
  private async *candidates(query: Query, head: Head): AsyncGenerator<EntryDocument> {
    const position = headPosition(head);
    const filter = entryFilter(query);
    if (query.trace) {
      yield* this.store.entries.find({ ...filter, _id: { $lte: position } }).sort({ _id: -1 });
      return;
    }
    const newest = query.before === undefined ? position : await this.positionBefore(query.before, position);
    for await (const segment of this.store.segments.find(segmentQuery(query), newest)) {
      const { first, last } = positionsOf(segment);
      yield* this.store.entries.find({ ...filter, _id: { $gte: first, $lte: Math.min(last, position) } }).sort({ _id: -1 });
    }
  }

  private async positionBefore(index: number, position: number): Promise<number> {
    return (await this.entryOf(index - 1, position))?._id ?? -1;
  }

  /**
   * The entry that holds this leaf: the last that begins at or before it. It is looked for in windows that grow, since a store that sorts all that lies
   * before takes the longer the more that is (FerretDB at two million leaves: 0.4 s, and 8 ms so).
   */
  private async entryOf(index: number, position: number): Promise<EntryDocument | undefined> {
    for (let reach = leavesPerEntry; ; reach *= 16) {
      const [entry] = await this.store.entries
        .find({ firstIndex: { $lte: index, $gt: index - reach }, count: { $gt: 0 }, _id: { $lte: position } })
        .sort({ firstIndex: -1 })
        .limit(1)
        .toArray();
      if (entry || reach > index) return entry;
    }
  }

  private async tilesOf(size: number): Promise<ReadTile> {
    const { edge } = await this.at(size);
    if (size > edge.size) throw new ProblemError('ERR_NOT_FOUND', `The log has ${edge.size} leaves.`);
    return this.tiles.reader(edge);
  }

  /** A head of at least `size` leaves when there is one: another process may have moved it. */
  private async at(size: number): Promise<Head> {
    const known = this.ledger.head();
    return known && known.edge.size >= size ? known : this.store.loadHead();
  }
}

const text = (hash: Buffer): string => hash.toString('base64url');
