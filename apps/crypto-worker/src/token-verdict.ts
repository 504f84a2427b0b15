import { ProblemError } from '@claviger/contracts';
import { HsmError } from '@claviger/hsm';

/** What the token calls a wrong argument is one that the caller gave. */
export function asked<T>(use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (error instanceof HsmError && error.code === 'HSM_ARGUMENT_INVALID')
      throw new ProblemError('ERR_MALFORMED_REQUEST', error.what, { cause: error });
    throw error;
  }
}

/** What the token found in it, or undefined when it is not intact under this key. */
export function intact<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    return notIntact(error);
  }
}

/** Undefined for a token that says that something is not intact; else throws what it was given. */
export function notIntact(error: unknown): undefined {
  if (error instanceof HsmError && error.code === 'HSM_AUTHENTICATION_FAILED') return undefined;
  throw error;
}
