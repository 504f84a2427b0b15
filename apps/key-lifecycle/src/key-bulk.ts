import type { OwedRecord } from '@claviger/service';
import type { Collection, Db } from 'mongodb';
import type { Key } from './key';
import { type KeyDocument, type KeyStore, type OutboxEntry, reached } from './key-store';

export interface BulkChange {
  from: Key;
  to: Key;
  outbox: OutboxEntry[];
  owed: OwedRecord;
}

/** Changes of many keys in few writes: each is its own compare-and-set, and commits or does not, whatever becomes of the others. */
export class KeyBulk {
  private readonly keys: Collection<KeyDocument>;

  constructor(
    db: Db,
    private readonly store: Pick<KeyStore, 'fields'>,
  ) {
    this.keys = db.collection('keys');
  }

  /** Ids of those that were made; the others were changed by somebody else since they were read. */
  async change(changes: readonly BulkChange[]): Promise<Set<string>> {
    if (changes.length === 0) return new Set();
    const fields = await Promise.all(changes.map(({ to }) => this.store.fields(to)));
    await reached(() =>
      this.keys.bulkWrite(
        changes.map(({ from, outbox, owed }, i) => ({
          updateOne: {
            filter: { _id: from.keyId, revision: from.revision },
            update: {
              $set: { ...fields[i], claimedUntil: null, pending: true },
              $push: { outbox: { $each: outbox }, owed: { $each: [owed] } },
            },
          },
        })),
        { ordered: false },
      ),
    );
    // The answer tells how many, not which: what each change left in its document tells it, also when the key was changed again since.
    const owedIds = new Set(changes.map(({ owed }) => owed.id));
    const ids = changes.map(({ to }) => to.keyId);
    const found = await reached(() => this.keys.find({ _id: { $in: ids } }, { projection: { owed: 1 } }).toArray());
    return new Set(found.flatMap(({ _id, owed }) => (owed.some(({ id }) => owedIds.has(id)) ? [_id] : [])));
  }

  /** Takes out what was delivered and recorded. */
  async settle(keyIds: readonly string[], outboxIds: readonly string[], owedIds: readonly string[]): Promise<void> {
    if (keyIds.length === 0) return;
    const ids = { _id: { $in: [...keyIds] } };
    const taken = { outbox: { id: { $in: [...outboxIds] } }, owed: { id: { $in: [...owedIds] } } };
    await reached(() => this.keys.updateMany(ids, { $pull: taken }));
    const nothingLeft = { ...ids, 'outbox.0': { $exists: false }, 'owed.0': { $exists: false } };
    await reached(() => this.keys.updateMany(nothingLeft, { $set: { pending: false } }));
  }
}
