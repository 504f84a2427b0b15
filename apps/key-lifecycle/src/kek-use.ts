import { ProblemError } from '@claviger/contracts';

/** Between the choice of a KEK and the write of what is under it. Whoever destroys a KEK waits longer, the store's own time included (rewrap-job.ts). */
export const kekUseMs = 60_000;

/**
 * What took too long is not written: the KEK that it is under may be destroyed by now. A monotonic clock may stand still while its host is suspended, and a
 * wall clock may be set: the one that says more is believed.
 */
export function inTime(monotonicMs: () => number = () => performance.now(), wallMs: () => number = Date.now): () => void {
  const [monotonic, wall] = [monotonicMs(), wallMs()];
  return () => {
    if (Math.max(monotonicMs() - monotonic, wallMs() - wall) > kekUseMs)
      throw new ProblemError('ERR_TIMEOUT', 'It took too long to make key material: nothing was changed.');
  };
}
