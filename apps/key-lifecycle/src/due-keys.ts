import type { CloudEvent } from '@claviger/contracts';
import type { Collection, Db } from 'mongodb';
import type { Key } from './key';
import { type KeyDocument, type KeyStore, reached, type StoredInvocations } from './key-store';
import type { SignedDocuments } from './signed-documents';
import { nothingTold, type Told } from './warnings';

/** A key that is due, in the hands of who claimed it. */
export interface Claimed {
  key: Key;
  checkUsage: boolean;
  /** How often in a row it could not be done. */
  failures: number;
}
export interface StoredTold {
  told: Told;
  signed: string | undefined;
}
/** Keys to which something is due by itself, in the documents of the key store: who has them in hand, when they are looked at again, and what was told. */
export class DueKeys {
  private readonly keys: Collection<KeyDocument>;

  constructor(
    db: Db,
    private readonly documents: SignedDocuments,
    private readonly store: KeyStore,
  ) {
    this.keys = db.collection('keys');
  }

  /**
   * Ids of keys to which something is due that nobody has in hand, after `after`. `quick`: only those, or only the others, of which it is known that what
   * comes next takes no new material. The field that says so is not signed: it decides about nothing but their order.
   *
   * Asked for in two questions, each by its own index: in one FerretDB reads every key, which takes 5 s for 100,000, at each sweep.
   */
  async ids(now: string, limit: number, { quick, after }: { quick?: boolean; after?: string | undefined } = {}): Promise<string[]> {
    const which = quick === undefined ? {} : { quick: quick ? true : { $ne: true } };
    const from = after === undefined ? {} : { _id: { $gt: after } };
    await this.store.createIndexes();
    const ask = (filter: object, index: string) =>
      reached(() =>
        this.keys
          .find({ ...which, ...from, ...filter, ...unclaimedAt(now) }, { projection: { _id: 1 } })
          .sort({ _id: 1 })
          .limit(limit)
          .hint(index)
          .toArray(),
      );
    const found = await Promise.all([ask(dueBy(now), quick ? 'quick_1_dueAt_1' : 'dueAt_1'), ask({ checkUsage: true }, 'checkUsage_1')]);
    return [...new Set(found.flat().map(({ _id }) => _id))].sort().slice(0, limit);
  }

  /** Takes what is due in hand until then, for one replica alone; undefined when another one has, or nothing is due any more. Throws TamperedDocument. */
  async claim(keyId: string, now: string, until: string): Promise<Claimed | undefined> {
    const claimed = await reached(() =>
      this.keys.findOneAndUpdate({ _id: keyId, ...dueIn(now) }, { $set: { claimedUntil: until } }, { returnDocument: 'after' }),
    );
    const key = claimed ? await this.store.get(keyId) : undefined;
    const failures = Number.isSafeInteger(claimed?.failures) ? (claimed?.failures as number) : 0;
    return key && { key, checkUsage: claimed?.checkUsage === true, failures };
  }

  /** It was looked after: nothing is due before `dueAt`. Left as it is when the key, or the count that was looked at, has changed since. */
  async release({ keyId, revision }: Key, dueAt: string | undefined, counted?: StoredInvocations): Promise<void> {
    await reached(() =>
      this.keys.updateOne(
        { _id: keyId, revision, ...(counted ? { invocations: counted.signed } : {}) },
        { $set: { dueAt: dueAt ?? null, claimedUntil: null, failures: 0 }, ...(counted ? { $unset: { checkUsage: '' } } : {}) },
      ),
    );
  }

  /** It could not be done, and `failures` times in a row before: nobody tries again before `until`. */
  async putAside({ keyId, revision }: Key, failures: number, until: string): Promise<void> {
    await reached(() => this.keys.updateOne({ _id: keyId, revision }, { $set: { claimedUntil: until, failures: failures + 1 } }));
  }

  /** What was told of this key. Throws TamperedDocument. */
  async toldOf(keyId: string): Promise<StoredTold> {
    return (await this.toldOfAll([keyId]))(keyId);
  }

  /** The same of many at once. What it gives back throws TamperedDocument. */
  async toldOfAll(keyIds: readonly string[]): Promise<(keyId: string) => StoredTold> {
    const find = () => this.keys.find({ _id: { $in: [...keyIds] } }, { projection: { told: 1 } }).toArray();
    const found = new Map((await reached(find)).map(({ _id, told }) => [_id, told]));
    return (keyId) => {
      const signed = found.get(keyId);
      const told = signed === undefined ? nothingTold(keyId) : this.store.told(keyId, () => this.documents.readTold(keyId, signed));
      return { signed, told };
    };
  }

  /** The events and what was told, in one write; false when the key has changed since, or another replica told it. */
  async tell({ keyId, revision }: Key, from: StoredTold, to: Told, ...events: CloudEvent[]): Promise<boolean> {
    const { matchedCount } = await reached(() =>
      this.keys.updateOne(
        { _id: keyId, revision, told: from.signed ?? { $exists: false } },
        {
          $set: { told: this.documents.signTold(to), ...(events.length > 0 ? { pending: true } : {}) },
          $push: { outbox: { $each: events.map((event) => ({ id: event.id, kind: 'event' as const, event })) } },
        },
      ),
    );
    return matchedCount === 1;
  }
}

/** A date: what is due to nobody has null there. */
const dueBy = (now: string) => ({ dueAt: { $gt: '', $lte: now } });
const unclaimedAt = (now: string) => ({ $or: [{ claimedUntil: null }, { claimedUntil: { $lte: now } }] });
const dueIn = (now: string) => ({ $and: [{ $or: [dueBy(now), { checkUsage: true as const }] }, unclaimedAt(now)] });
