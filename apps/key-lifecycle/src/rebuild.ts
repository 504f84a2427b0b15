import { setTimeout as delay } from 'node:timers/promises';
import type { KeysView } from '@claviger/contracts';
import type { KvView } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import type { Delivery } from './delivery';
import type { KekStore } from './kek-store';
import type { Key } from './key';
import type { KeyStore } from './key-store';

const keysPerPage = 200;
const readsAtOnce = 8;
const tellEvery = 10_000;

/** Before any key under them. */
export async function rebuildKeks(keks: KekStore, delivery: Delivery): Promise<void> {
  for (const kek of await keks.stored()) await delivery.putKek(kek);
}

/**
 * Brings the bucket up to what the document store says, never lowering a revision: each record of the bucket is read and verified, and written where it is
 * older than the store's, or not there. On the way what the indexes say of each key is put right, so that lists by filter are complete from then on.
 * It takes half of the time at most, since requests are served beside it. `onPage` hears how many keys were checked.
 */
export async function rebuildView(
  { store, delivery, view, logger }: { store: KeyStore; delivery: Delivery; view: Pick<KvView<KeysView>, 'fetch'>; logger: LoggerService },
  onPage: (checked: number) => void = () => undefined,
): Promise<number> {
  let count = 0;
  let indexed = 0;
  let after: string | undefined;
  do {
    const began = performance.now();
    const { keys, misindexed, next } = await store.list(after, keysPerPage);
    const left = [...keys];
    const reader = async () => {
      for (let key = left.pop(); key; key = left.pop()) await bring(key, view, delivery);
    };
    await Promise.all(Array.from({ length: readsAtOnce }, reader));
    for (const key of misindexed) await store.reindex(key);
    indexed += misindexed.length;
    if (Math.floor((count + keys.length) / tellEvery) > Math.floor(count / tellEvery))
      logger.log(`view of keys: ${count + keys.length} checked`);
    count += keys.length;
    after = next;
    onPage(count);
    if (next) await delay(performance.now() - began);
  } while (after);
  store.indexed();
  if (indexed > 0) logger.log(`the index of ${indexed} keys was missing or wrong and is built anew`);
  return count;
}

/** What the view refuses of the record in the bucket, it tells. */
async function bring(key: Key, view: Pick<KvView<KeysView>, 'fetch'>, delivery: Delivery): Promise<void> {
  const there = await view.fetch(key.keyId).catch(() => undefined);
  if ((there?.revision ?? 0) < key.revision) await delivery.putKey(key);
}
