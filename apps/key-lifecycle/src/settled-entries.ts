import { ProblemError } from '@claviger/contracts';
import { Gathering, type Outcome } from '@claviger/messaging';
import type { Collection, Filter } from 'mongodb';

/** What keys and aliases have in common. */
interface SettledDocument {
  _id: string;
  outbox: { id: string }[];
  owed: { id: string }[];
  pending: boolean;
}

/** What is delivered, or recorded, and is to be taken out of a key's document. */
interface Settled {
  keyId: string;
  list: 'outbox' | 'owed';
  ids: readonly string[];
}
type OfKey = Record<Settled['list'], string[]>;

/** So long more is waited for: a change's messages and its record are usually settled within a few milliseconds of each other. */
const gatherMs = 10;
const keysPerWrite = 200;
const clearEveryMs = 10_000;
/** About 3 kB of memory each, and two of a key: a few seconds' work for the store. */
const waitingMost = 4_000;

/**
 * Takes settled entries out of their documents, those of many keys with one write, one write at a time. A document that holds nothing else than what is
 * settled is emptied by it and no longer pending; of the others the settled entries go. Doing it twice has the effect of once.
 */
export class SettledEntries {
  private readonly gathering: Gathering<Settled, void>;
  private writing: Promise<unknown> = Promise.resolve();
  private clearedAt = Number.NEGATIVE_INFINITY;
  private waiting = 0;
  private readonly forRoom: (() => void)[] = [];

  constructor(
    private readonly keys: Collection<SettledDocument>,
    private readonly reached: <T>(call: () => Promise<T>) => Promise<T>,
  ) {
    const later = (begin: () => void) => void setTimeout(() => void this.writing.then(begin), gatherMs);
    this.gathering = new Gathering(
      2 * keysPerWrite,
      async (settled) => {
        const taking = this.writing.then(() => this.take(settled));
        this.writing = taking.catch(() => undefined);
        const failures = await taking;
        return settled.map(({ keyId }): Outcome<void> => (failures.has(keyId) ? { error: failures.get(keyId) } : { value: undefined }));
      },
      later,
    );
  }

  remove(keyId: string, list: Settled['list'], ids: readonly string[]): Promise<void> {
    this.waiting++;
    return this.gathering.ask({ keyId, list, ids }).finally(() => {
      this.waiting--;
      if (this.waiting < waitingMost) for (const go of this.forRoom.splice(0)) go();
    });
  }

  /** Resolves when what waits to be taken out leaves room for more: whoever makes keys faster than the store settles them waits here, and fills no memory. */
  async room(): Promise<void> {
    while (this.waiting >= waitingMost) await new Promise<void>((resolve) => this.forRoom.push(resolve));
  }

  /** Documents that a process left when it ended between its two writes: nothing waits in them, and they say that something does. Every 10 s at most. */
  async clear(): Promise<void> {
    if (performance.now() - this.clearedAt < clearEveryMs) return;
    this.clearedAt = performance.now();
    const empty = { pending: true, outbox: { $size: 0 }, owed: { $size: 0 } };
    await this.reached(() => this.keys.updateMany(empty, { $set: { pending: false } }));
  }

  /** @returns what failed, by key */
  private async take(settled: readonly Settled[]): Promise<ReadonlyMap<string, unknown>> {
    const byKey = new Map<string, OfKey>();
    for (const { keyId, list, ids } of settled) {
      const ofKey = byKey.get(keyId) ?? { outbox: [], owed: [] };
      ofKey[list].push(...ids);
      byKey.set(keyId, ofKey);
    }
    const groups = Map.groupBy(byKey, ([, { outbox, owed }]) => `${outbox.length} ${owed.length}`);
    const failures = new Map<string, unknown>();
    for (const group of groups.values())
      await this.takeAlike(group).catch(async (error) => {
        if (error instanceof ProblemError) throw error;
        // Whatever somebody else wrote into one document keeps no other waiting.
        for (const one of group) await this.takeAlike([one]).catch((its) => failures.set(one[0], its));
      });
    return failures;
  }

  /** Of each key of the group as many as of the others. */
  private async takeAlike(group: readonly (readonly [string, OfKey])[]): Promise<void> {
    const keyIds = group.map(([keyId]) => keyId);
    const outbox = group.flatMap(([, ofKey]) => ofKey.outbox);
    const owed = group.flatMap(([, ofKey]) => ofKey.owed);
    const each = { outbox: outbox.length / group.length, owed: owed.length / group.length };
    const _id = { $in: keyIds };
    if (each.outbox > 0 && each.owed > 0) {
      const only = (ids: readonly string[], size: number) => ({ $size: size, $not: { $elemMatch: { id: { $nin: ids } } } });
      const nothingElse = { _id, outbox: only(outbox, each.outbox), owed: only(owed, each.owed) } as Filter<SettledDocument>;
      const { matchedCount } = await this.reached(() =>
        this.keys.updateMany(nothingElse, { $set: { outbox: [], owed: [], pending: false } }),
      );
      if (matchedCount === group.length) return;
    }
    const pull = {
      ...(outbox.length > 0 ? { outbox: { id: { $in: outbox } } } : {}),
      ...(owed.length > 0 ? { owed: { id: { $in: owed } } } : {}),
    };
    await this.reached(() => this.keys.updateMany({ _id }, { $pull: pull }));
    const nothingLeft = { _id, pending: true, 'outbox.0': { $exists: false }, 'owed.0': { $exists: false } };
    await this.reached(() => this.keys.updateMany(nothingLeft as Filter<SettledDocument>, { $set: { pending: false } }));
  }
}
