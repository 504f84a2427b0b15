import type { Tombstone } from '@claviger/contracts';
import { activateKey, compromiseKey, deactivateKey, destroyKey, isDestroyed, type Key, suspendKey } from './key';
import { staysInToken } from './provable';

const dayMs = 86_400_000;
/** So long a deletion waits at least that came due while the site was away: it may have been cancelled after the backup. */
const deletionWaitDays = 7;

export interface RestoreRule {
  backupId: string;
  /** Whether it is proven what became of keys after the backup. Without that, none is usable. */
  proven: boolean;
  /** What became of this key after the backup, where that is known. */
  tombstone?: Tombstone['is'] | undefined;
  /** What is wrong with its material, where something is. */
  defect?: string | undefined;
}

export interface Restored {
  key: Key;
  outcome: 'usable' | 'suspended' | 'destroyed';
  /** Its version that encrypted was deactivated, and it gets a new one now. */
  rotates: boolean;
  /** Why it got none, where no token of this site may have it. */
  refused?: string;
}

/**
 * A key as it comes back from a backup. What is not known of it counts against it: a key that was destroyed stays so; one of which it is not proven what
 * became of it comes back suspended; an AES key that encrypted has done so nobody knows how often (SP 800-38D §8.3), so its version is deactivated.
 */
export function restoredKey(key: Key, { backupId, proven, tombstone, defect }: RestoreRule, nowMs: number): Restored {
  const now = new Date(nowMs).toISOString();
  if (isDestroyed(key)) return { key: { ...key, revision: key.revision + 1 }, outcome: 'destroyed', rotates: false };
  if (tombstone === 'destroyed') return { key: destroyed(key, backupId, nowMs), outcome: 'destroyed', rotates: false };
  const encrypted = key.algorithm.startsWith('AES') && key.usage === 'encrypt';
  const wasActive = key.versions.some(({ version, state }) => version === key.primaryVersion && state === 'active');
  let to = deferred(
    tombstone === 'compromised' ? compromiseKey(key, undefined, `compromised after backup ${backupId} was made`, now) : key,
    nowMs,
  );
  if (encrypted) to = ended(to, `restored from ${backupId}: how often it encrypted is not known`, now);
  const reason = reasonToSuspend(key, { proven, tombstone, defect });
  if (reason !== undefined && to.deletionAt === undefined && !to.suspended)
    to = suspendKey(to, false, `restored from ${backupId}: ${reason}`, now);
  const usable = !to.suspended && to.deletionAt === undefined;
  // However many steps it took, it is one change.
  return {
    key: { ...to, revision: key.revision + 1 },
    outcome: usable ? 'usable' : 'suspended',
    rotates: usable && encrypted && wasActive,
  };
}

function reasonToSuspend(key: Key, { proven, tombstone, defect }: Omit<RestoreRule, 'backupId'>): string | undefined {
  if (defect !== undefined) return defect;
  if (tombstone !== undefined) return `it was ${tombstone} after the backup was made`;
  if (!proven) return 'what became of it after the backup was made is not proven';
  return key.versions.some(staysInToken) ? 'its material is in a token of the site that it comes from' : undefined;
}

function destroyed(key: Key, backupId: string, nowMs: number): Key {
  const { deletionAt: _, ...kept } = key;
  const now = new Date(nowMs).toISOString();
  // By the table an active version is suspended before it is destroyed. It waits no more: it has waited, at the site that it comes from.
  const over = suspendKey(kept, false, `destroyed after backup ${backupId} was made`, now);
  return { ...destroyKey({ ...over, deletionAt: now }, nowMs), revision: key.revision + 1 };
}

/** Whatever else is under way. A version that waited for its activation may have been activated after the backup. */
function ended({ deletionAt, ...key }: Key, reason: string, now: string): Key {
  const active = key.suspended ? key : activateKey(key, reason, now);
  const to = deactivateKey(active, reason, now);
  return deletionAt === undefined ? to : { ...to, deletionAt };
}

function deferred(key: Key, nowMs: number): Key {
  const soonest = new Date(nowMs + deletionWaitDays * dayMs).toISOString();
  return key.deletionAt !== undefined && key.deletionAt < soonest ? { ...key, deletionAt: soonest } : key;
}
