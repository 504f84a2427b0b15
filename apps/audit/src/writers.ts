import { createHash } from 'node:crypto';
import { certifierOf } from '@claviger/contracts';

/** Raised when the same messages would give other leaves than before. */
const rulesVersion = 1;

/** Names everything beside the messages that decides what becomes a leaf: two sequencers with one name write the same bytes. */
export function rulesName(certifiers: Readonly<Record<string, string>>): string {
  const parts = [rulesVersion, Object.entries(certifierOf).sort(byName), Object.entries(certifiers).sort(byName)];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

const byName = ([a]: [string, string], [b]: [string, string]) => (a < b ? -1 : 1);
