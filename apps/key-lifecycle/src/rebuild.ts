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
  for (let after: string | undefined; ; ) {
    const page = await store.list(after, 500);
    for (const key of page) await delivery.putKey(key);
    count += page.length;
    after = page.at(-1)?.keyId;
    if (page.length < 500) break;
    logger.log(`view of keys: ${count} checked`);
  }
  return count;
}
