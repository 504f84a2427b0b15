import type { LoggerService } from '@nestjs/common';
import type { Delivery } from './delivery';
import type { KeyStore } from './key-store';

/**
 * Brings the bucket up to what the document store says: KEKs first, then every key, never lowering a revision. Until it has been done once
 * since this process began, no new high-water mark is signed: an incomplete bucket must not be called complete.
 */
export async function rebuildView(store: KeyStore, delivery: Delivery, logger: LoggerService): Promise<number> {
  for (const kek of await store.allKeks()) await delivery.putKek(kek);
  let count = 0;
  let after: string | undefined;
  do {
    const { keys, next } = await store.list(after, 500);
    for (const key of keys) await delivery.putKey(key);
    count += keys.length;
    after = next;
    if (next) logger.log(`view of keys: ${count} checked`);
  } while (after);
  return count;
}
