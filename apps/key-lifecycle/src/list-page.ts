import { type KeyDescription, limits } from '@claviger/contracts';
import type { Key } from './key';
import { describeKey } from './key-description';
import type { KeyPage } from './key-store';

/** So many keys are looked at for one page: policy is asked about each. */
export const scannedMost = 2 * limits.listPage;
/** A short page costs no more reads of the store. */
const readLeast = 100;

export interface Shown {
  keys: KeyDescription[];
  /** After which id the next page begins; only where there is more to show, or too much was looked at to know. */
  next: string | undefined;
}

/**
 * A page of what the caller may see, as long as `limit` and a message allow. Pages of the store are read on until it is full, so that neither its length
 * nor whether there is a next one says how many keys the filter means that the caller must not know of.
 */
export async function shownPage(
  read: (after: string | undefined, limit: number) => Promise<Pick<KeyPage, 'keys' | 'next'>>,
  mayShow: (key: Key) => boolean,
  { after, limit }: { after: string | undefined; limit: number },
): Promise<Shown> {
  const keys: KeyDescription[] = [];
  let [from, bytes] = [after, 0];
  const readAtOnce = Math.max(limit, readLeast);
  for (let scanned = 0; scanned < scannedMost; scanned += readAtOnce) {
    const page = await read(from, readAtOnce);
    for (const key of page.keys.filter(mayShow)) {
      const description = describeKey(key);
      bytes += Buffer.byteLength(JSON.stringify(description));
      // One is sent however large it is; a key may have a thousand versions.
      const full = keys.length === limit || (bytes > limits.messageBytes / 2 && keys.length > 0);
      if (full) return { keys, next: keys.at(-1)?.keyId };
      keys.push(description);
    }
    if (page.next === undefined) return { keys, next: undefined };
    from = page.next;
  }
  return { keys, next: from };
}
