import { ClavigerError, type Client } from '@claviger/client';
import type { KeyDescription, LastUseOfKey } from '@claviger/contracts';
import { exitCodeOf, exitCodes } from './exit-codes';

/** A key that nobody has used and that is registered for no data. */
export interface Orphan {
  readonly key: KeyDescription;
  readonly last: LastUseOfKey;
}

/** What became of the order to delete it. */
export type OrphanOutcome = { readonly deletionAt: string } | { readonly refused: { readonly code: string; readonly detail: string } };

/**
 * Schedules the deletion of each, in turn. One that is refused (it is protected, or policy says no) keeps no other from it. Each is told once it is known.
 * @throws ClavigerError when it is not known what became of one, or nobody answers: that one may be scheduled, and those after it were not asked for
 */
export async function scheduleDeletions(
  client: { readonly keys: Pick<Client['keys'], 'scheduleDeletion'> },
  orphans: readonly Orphan[],
  { reason, waitDays }: { reason: string; waitDays: number | undefined },
  told: (orphan: Orphan, outcome: OrphanOutcome) => void,
): Promise<void> {
  for (const orphan of orphans) {
    const { keyId } = orphan.key;
    try {
      const { key } = await client.keys.scheduleDeletion({ keyId, reason, waitDays });
      told(orphan, { deletionAt: key.deletionAt as string });
    } catch (error) {
      if (!(error instanceof ClavigerError && exitCodeOf(error) === exitCodes.refused)) throw error;
      told(orphan, { refused: { code: error.code, detail: error.detail } });
    }
  }
}
