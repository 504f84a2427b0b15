import { ProblemError } from '@claviger/contracts';
import { type Key, type Material, rotateKey, suspendKey } from './key';
import type { Restored } from './restored-key';

/** Characters, as of reasons that people give. */
const reasonMax = 500;
/** What tokens are is true of this key alone: other keys come back. Anything else ends the restore, which goes on there when it is asked for again. */
const ofTokens: ReadonlySet<string> = new Set(['ERR_ASSURANCE', 'ERR_RESIDENCY']);

/**
 * A restored key with the new version that it gets. One that no token here may have comes back suspended, and still decrypts: what is there goes on, and
 * nothing new is protected before somebody has seen why. Throws what `material` does for any other reason.
 */
export async function rotatedAnew(
  restored: Restored,
  material: (key: Key) => Promise<Material>,
  { backupId, now }: { backupId: string; now: string },
): Promise<Restored> {
  if (!restored.rotates) return restored;
  const { key } = restored;
  const { revision } = key;
  try {
    const rotated = rotateKey(key, await material(key), `restored from ${backupId}`, now);
    return { ...restored, key: { ...rotated, revision } };
  } catch (error) {
    if (!(error instanceof ProblemError && ofTokens.has(error.code))) throw error;
    const refused = `suspended, without a new version: ${error.detail ?? error.code}`.slice(0, reasonMax);
    const suspended = suspendKey(key, true, `restored from ${backupId}: ${refused}`, now);
    return { key: { ...suspended, revision }, outcome: 'suspended', rotates: false, refused };
  }
}
