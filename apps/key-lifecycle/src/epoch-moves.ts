import { type JobFailure, type KekMaterial, ProblemError } from '@claviger/contracts';
import type { BackupStore } from './backup-store';
import { currentRoot, nameOf, type Root, type RootName } from './root';

export type MoveEpochKey = (epochKey: KekMaterial, to: RootName) => Promise<KekMaterial>;

export interface EpochMoves {
  epochs: Pick<BackupStore, 'allEpochs' | 'changeEpoch'>;
  roots: readonly Root[];
  move: MoveEpochKey;
}

/**
 * Keys of epochs of backups go with the KEKs: those under a root that `isLeft` come under the current one. Gives those that do not open; what another try may
 * mend is thrown.
 */
export async function moveEpochs({ epochs, roots, move }: EpochMoves, isLeft: (rootLabel: string) => boolean): Promise<JobFailure[]> {
  const to = nameOf(currentRoot(roots));
  const failures: JobFailure[] = [];
  for (const { epoch, epochKey } of await epochs.allEpochs()) {
    if (!epochKey || !isLeft(epochKey.rootLabel) || epochKey.rootLabel === to.rootLabel) continue;
    try {
      const moved = await move(placed(epochKey, roots), to);
      // Its retention may have ended meanwhile: what is destroyed stays so.
      await epochs.changeEpoch(epoch, (one) => (one.epochKey?.wrapped === epochKey.wrapped ? { ...one, epochKey: moved } : one));
    } catch (error) {
      if (!(error instanceof ProblemError) || error.retryable) throw error;
      failures.push({ id: epoch, code: error.code, detail: error.detail ?? error.message });
    }
  }
  return failures;
}

/** One from before there was a second token names none: it is under a root that does by now, and the first token of the workers may be another one. */
function placed(epochKey: KekMaterial, roots: readonly Root[]): KekMaterial {
  const token = epochKey.token ?? roots.find(({ label }) => label === epochKey.rootLabel)?.token;
  return token === undefined ? epochKey : { ...epochKey, token };
}
