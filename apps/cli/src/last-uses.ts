import { ClavigerError, type Client } from '@claviger/client';
import type { KeyDescription, LastUseOfKey } from '@claviger/contracts';
import { dayMs } from './thresholds';

const batch = 100;

/** Keys with their last use, in their order; asked for a hundred at a time. */
export async function* withLastUse(
  client: Pick<Client, 'keys'>,
  keys: AsyncIterable<KeyDescription>,
): AsyncGenerator<{ key: KeyDescription; last: LastUseOfKey }> {
  let held: KeyDescription[] = [];
  for await (const key of keys) {
    held.push(key);
    if (held.length < batch) continue;
    yield* await asked(client, held);
    held = [];
  }
  yield* await asked(client, held);
}

async function asked(client: Pick<Client, 'keys'>, keys: KeyDescription[]) {
  if (keys.length === 0) return [];
  const found = await client.keys.lastUse({ keyIds: keys.map(({ keyId }) => keyId) });
  const byId = new Map(found.keys.map((last) => [last.keyId, last]));
  return keys.map((key) => ({ key, last: byId.get(key.keyId) ?? { keyId: key.keyId, known: 'unknown' as const } }));
}

/** Of one key; undefined, and why, when the ledger cannot be asked now: that is no reason not to describe the key. */
export async function lastUseOf(client: Pick<Client, 'keys'>, keyId: string): Promise<{ last?: LastUseOfKey; text: string }> {
  try {
    const { keys } = await client.keys.lastUse({ keyIds: [keyId] });
    const last = keys[0] as LastUseOfKey;
    return { last, text: textOf(last) };
  } catch (error) {
    if (error instanceof ClavigerError) return { text: `not known now: ${error.code}` };
    throw error;
  }
}

function textOf({ known, use }: LastUseOfKey): string {
  if (use) return `${use.at}, ${use.action} by ${use.principal} (leaf ${use.index} of the ledger)`;
  return known === 'never' ? 'never' : 'not among its newest records: claviger audit query --key …';
}

/** Older than that, not destroyed, and not used since. What the ledger does not tell is no sign of it. */
export function isUnusedSince(key: KeyDescription, { known, use }: LastUseOfKey, sinceMs: number): boolean {
  const [first] = key.versions;
  if (!first || Date.parse(first.createdAt) >= sinceMs || key.versions.every(({ state }) => state === 'destroyed')) return false;
  return known === 'never' || (use !== undefined && Date.parse(use.at) < sinceMs);
}

/** Nobody uses it, nobody says that it opens anything, and nothing is decided about it yet. */
export function isOrphan(key: KeyDescription, last: LastUseOfKey, { days, nowMs }: { days: number; nowMs: number }): boolean {
  const registered = key.data.some(({ until }) => until === undefined || Date.parse(until) > nowMs);
  return !registered && key.deletionAt === undefined && isUnusedSince(key, last, nowMs - days * dayMs);
}
