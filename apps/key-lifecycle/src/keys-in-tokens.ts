import type { KeyStore } from './key-store';

const keysPerPage = 200;

/** How many keys have material that stays in a token, by its label; and how many documents nobody can read. There are few: a token has few places. */
export async function keysInTokens(store: Pick<KeyStore, 'list'>): Promise<{ within: Map<string, number>; unread: number }> {
  const within = new Map<string, number>();
  let unread = 0;
  let after: string | undefined;
  do {
    const page = await store.list(after, keysPerPage, { custody: 'token' });
    for (const { versions } of page.keys)
      for (const label of new Set(versions.flatMap(({ material }) => (material?.custody === 'token' ? [material.token] : []))))
        within.set(label, (within.get(label) ?? 0) + 1);
    unread += page.unread.length;
    after = page.next;
  } while (after);
  return { within, unread };
}
