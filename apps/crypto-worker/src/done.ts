import { type cryptoOperations, ProblemError, type Result } from '@claviger/contracts';
import type { KeyVersion } from './key-use';

type Ops = typeof cryptoOperations;
/** What an operation did: the result for the caller, and what the record says of it. */
export interface Done<O extends Ops[keyof Ops]> {
  result: Result<O>;
  record: { bytes: number; version?: number; toVersion?: number };
}

export interface Dry {
  dryRun?: boolean | undefined;
}

export const wouldUse = (version: number) => new ProblemError('ERR_DRY_RUN', `It would use version ${version}; nothing was done.`);

/** Everything up to the token's own work is checked by now, the key's material included. */
export function dry<T>({ dryRun }: Dry, { version }: KeyVersion, ready: T): T {
  if (dryRun) throw wouldUse(version);
  return ready;
}
