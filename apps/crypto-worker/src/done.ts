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

/** A dry run ends here: everything up to the token's own work is checked, its key at last. */
export function dry({ dryRun }: Dry, { version }: KeyVersion, ready: () => unknown): void {
  if (!dryRun) return;
  ready();
  throw wouldUse(version);
}
