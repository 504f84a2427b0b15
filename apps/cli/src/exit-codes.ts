import { ClavigerError } from '@claviger/client';

/**
 * What the shell gets. 64, 65 and 78 are those of sysexits.h.
 * 1 is for a command that worked and found something wrong: an invalid signature, a policy that does not validate, a ledger that does not verify.
 */
export const exitCodes = {
  ok: 0,
  finding: 1,
  refused: 2,
  unavailable: 3,
  authentication: 4,
  failed: 5,
  usage: 64,
  badInput: 65,
  configuration: 78,
} as const;

/** The command worked; what it looked at is not in order. The message was printed already. */
export class Finding extends Error {}

/** The command was not given what it needs; `next` says what to do. */
export class CommandError extends Error {
  constructor(
    readonly kind: 'usage' | 'badInput' | 'configuration' | 'failed',
    message: string,
    readonly next?: string,
  ) {
    super(message);
    this.name = 'CommandError';
  }
}

/** The command was not done: others have to approve it first. Its request was made. */
export class ApprovalRequested extends Error {
  constructor(
    readonly change: string,
    message: string,
    readonly next: string,
  ) {
    super(message);
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof Finding) return exitCodes.finding;
  if (error instanceof CommandError) return exitCodes[error.kind];
  // It was not done.
  if (error instanceof ApprovalRequested) return exitCodes.refused;
  if (!(error instanceof ClavigerError)) return exitCodes.failed;
  // It is what was asked for.
  if (error.code === 'ERR_DRY_RUN') return exitCodes.ok;
  if (error.code === 'ERR_AUTHENTICATION') return exitCodes.authentication;
  return error.status >= 500 ? exitCodes.unavailable : exitCodes.refused;
}
