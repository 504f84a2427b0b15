import type { Client } from '@claviger/client';
import type { KeyDescription, KeyFilter } from '@claviger/contracts';

/** Keys that the caller may describe and the filter means, by id. A page is asked for when the one before is used up, so any number needs little memory. */
export async function* keysMeant(client: Pick<Client, 'keys'>, filter: KeyFilter = {}, pageSize = 500): AsyncGenerator<KeyDescription> {
  for (let after: string | undefined; ; ) {
    const { keys, next } = await client.keys.list({ filter, limit: pageSize, ...(after ? { after } : {}) });
    yield* keys;
    if (!next) return;
    after = next;
  }
}

/** As a list; no more is asked of the source than that. */
export async function gathered<T>(source: AsyncIterable<T>, atMost = Number.POSITIVE_INFINITY): Promise<T[]> {
  const found: T[] = [];
  if (atMost === 0) return found;
  for await (const one of source) if (found.push(one) === atMost) break;
  return found;
}
