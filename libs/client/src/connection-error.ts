import { errors } from '@nats-io/transport-node';
import { ClavigerError } from './claviger-error';

/** Why no connection could be had. */
export function toConnectionError(error: unknown): ClavigerError {
  if (error instanceof ClavigerError) return error;
  const refused = error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError;
  const reason = error instanceof Error ? error.message : String(error);
  return new ClavigerError(refused ? 'ERR_AUTHENTICATION' : 'ERR_CONNECTION', { detail: `The broker said: ${reason}.`, cause: error });
}

export interface UnansweredRequest {
  error: ClavigerError;
  /** Nobody has received it, so repeating it repeats nothing. */
  undelivered: boolean;
}

/** Why a request that was sent has no answer. */
export function toUnanswered(error: unknown, operation: string, requestId: string): UnansweredRequest {
  const service = operation.slice(0, operation.indexOf('.'));
  if (error instanceof errors.NoRespondersError)
    return {
      error: new ClavigerError('ERR_WORKER_UNAVAILABLE', { detail: `No process answers ${service} requests.`, requestId, cause: error }),
      undelivered: true,
    };
  if (error instanceof errors.PermissionViolationError)
    return {
      error: new ClavigerError('ERR_ACCESS_DENIED', {
        detail: `The broker refuses ${error.operation} of ${error.subject}.`,
        requestId,
        cause: error,
      }),
      undelivered: false,
    };
  const timedOut = error instanceof errors.TimeoutError;
  const detail = timedOut ? `No answer to ${operation} in time.` : `The connection ended before the answer to ${operation}.`;
  return { error: new ClavigerError('ERR_TIMEOUT', { detail, requestId, cause: error }), undelivered: false };
}
