import { type CloudEvent } from '@claviger/contracts';
import { LedgerError, type NoteVerifier, openCheckpoint, type ParsedCheckpoint, type ReadTile, treeRoot } from '@claviger/ledger';
import type { Head } from './head';

/** The store does not hold the ledger that was vouched for: nothing may be appended to it, signed over it or answered from it. */
export class LedgerRefused extends Error {
  constructor(reason: string, cause?: unknown) {
    super(
      `the ledger is refused: ${reason}. Restore the store (database of MONGODB_DATABASE) from a copy that reaches the last checkpoint; never delete LEDGER to get past this`,
      { cause },
    );
    this.name = 'LedgerRefused';
  }
}

/** Compares the store with the last checkpoint on LEDGER: as long, and the same leaves up to there. Throws LedgerRefused. */
export async function guardAgainstRollback(
  head: Head,
  published: CloudEvent<'io.claviger.ledger.checkpoint'>['data'] | undefined,
  trusted: { origin: string; verifier: NoteVerifier },
  readTile: ReadTile,
): Promise<void> {
  if (!published) return;
  const checkpoint = opened(published.checkpoint, trusted);
  const { size } = head.edge;
  if (size < checkpoint.size)
    throw new LedgerRefused(`it holds ${size} leaves and the last published checkpoint vouches for ${checkpoint.size}`);
  if (!(await treeRoot(checkpoint.size, readTile)).equals(checkpoint.root))
    throw new LedgerRefused(`its first ${checkpoint.size} leaves are not those that the last published checkpoint vouches for`);
}

function opened(note: string, { origin, verifier }: { origin: string; verifier: NoteVerifier }): ParsedCheckpoint {
  try {
    return openCheckpoint(note, [verifier], origin);
  } catch (error) {
    if (error instanceof LedgerError)
      throw new LedgerRefused('the last message on LEDGER is no checkpoint of this log under the key of trust.json', error);
    throw error;
  }
}
