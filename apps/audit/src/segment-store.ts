import { LRUCache } from 'lru-cache';
import type { Collection, Db, Filter } from 'mongodb';
import type { Entry } from './fold';
import { isDuplicate } from './ledger-store';
import { type Addition, additions, anyValue, type Segment, type SetName, segmentOf } from './segment';

export type SegmentDocument = { readonly _id: number; readonly from?: string; readonly to?: string } & {
  readonly [name in SetName]?: readonly string[];
};

/** The index over the entries. Adding is idempotent and commutes, so that crashes and races leave at most more than was committed. */
export class SegmentStore {
  private readonly segments: Collection<SegmentDocument>;
  /** What this process knows to be stored. */
  private readonly held = new LRUCache<number, Segment>({ max: 8 });

  constructor(db: Db) {
    this.segments = db.collection('segments');
  }

  async prepare(): Promise<void> {
    await this.segments.createIndexes([{ key: { keys: 1 } }, { key: { principals: 1 } }]);
  }

  async add(entries: readonly Entry[]): Promise<void> {
    for (const addition of additions(entries, (segment) => this.held.get(segment))) {
      if (!(await this.update(addition))) {
        await this.segments.insertOne({ _id: addition.segment }).catch((error: unknown) => {
          if (!isDuplicate(error)) throw error;
        });
        await this.update(addition);
      }
      this.held.set(addition.segment, addition.after);
    }
  }

  /** Segments that may hold what is asked for, newest first. */
  async *find(
    asked: { keyId?: string; principal?: string; action?: string; outcome?: string; kind?: string; from?: string; to?: string },
    upTo: number,
  ): AsyncGenerator<number> {
    const has = (value: string) => ({ $in: [value, anyValue] });
    const { keyId, principal, action, outcome, kind, from, to } = asked;
    const filter: Filter<SegmentDocument> = {
      _id: { $lte: segmentOf(upTo) },
      ...(keyId ? { keys: has(keyId) } : {}),
      ...(principal ? { principals: has(principal) } : {}),
      ...(action ? { actions: has(action) } : {}),
      ...(outcome ? { outcomes: has(outcome) } : {}),
      ...(kind ? { kinds: has(kind) } : {}),
      ...(from ? { to: { $gte: from } } : {}),
      ...(to ? { from: { $lte: to } } : {}),
    };
    const found = this.segments.find(filter).project<{ _id: number }>({ _id: 1 }).sort({ _id: -1 }).batchSize(50);
    for await (const { _id } of found) yield _id;
  }

  /** False when there is no document to add to. (An upsert is no claim: FerretDB gives it to several callers.) */
  private async update({ segment, sets, from, to }: Addition): Promise<boolean> {
    const $addToSet = Object.fromEntries(Object.entries(sets).map(([name, values]) => [name, { $each: values }]));
    const { matchedCount } = await this.segments.updateOne({ _id: segment }, {
      ...(Object.keys($addToSet).length > 0 ? { $addToSet } : {}),
      ...(from === undefined ? {} : { $min: { from } }),
      ...(to === undefined ? {} : { $max: { to } }),
    } as never);
    return matchedCount === 1;
  }
}
