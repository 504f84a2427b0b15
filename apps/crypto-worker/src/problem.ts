import { ProblemError } from '@claviger/contracts';
import { HsmError } from '@claviger/hsm';
import { defaultProblem } from '@claviger/service';

/** A failure as callers may see it: one generic decryption failure, and an HSM that does not answer; the cause goes to the log. */
export function toProblem(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (!(error instanceof HsmError)) return defaultProblem(error);
  if (error.code === 'HSM_AUTHENTICATION_FAILED') return new ProblemError('ERR_DECRYPTION_FAILED');
  // It names the token, and nothing secret.
  if (error.code === 'HSM_MECHANISM_UNAVAILABLE') return new ProblemError('ERR_ALGORITHM_UNAVAILABLE', error.message, { cause: error });
  return new ProblemError('ERR_HSM_UNAVAILABLE', undefined, { cause: error });
}
