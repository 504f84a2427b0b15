import type { LoggerService } from '@nestjs/common';
import type { Delivery } from './delivery';
import type { KekStore } from './kek-store';
import type { KeyStore } from './key-store';

/**
 * Brings the bucket up to what the document store says: KEKs first, then every key, never lowering a revision. Until it has been done once
 * since this process began, no new high-water mark is signed: an incomplete bucket must not be called complete.
 * On the way what the indexes say of each key is put right, so that lists by filter are complete from then on.
 */
export async function rebuildView(store: KeyStore, keks: KekStore, delivery: Delivery, logger: LoggerService): Promise<number> {
  for (const kek of await keks.stored()) await delivery.putKek(kek);
  let count = 0;
  let indexed = 0;
  let after: string | undefined;
  do {
    const { keys, misindexed, next } = await store.list(after, 500);
    for (const key of keys) await delivery.putKey(key);
    for (const key of misindexed) await store.reindex(key);
    indexed += misindexed.length;
    count += keys.length;
    after = next;
    if (next) logger.log(`view of keys: ${count} checked`);
  } while (after);
  store.indexed();
  if (indexed > 0) logger.log(`the index of ${indexed} keys was missing or wrong and is built anew`);
  return count;
}
