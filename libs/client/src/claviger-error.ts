import { type ErrorCode, errorTable, type Problem, type Receipt } from '@claviger/contracts';

export interface ErrorDetails {
  detail?: string;
  requestId?: string;
  /** Where the refusal or failure is recorded. */
  receipt?: Receipt;
  retryAfterMs?: number;
  cause?: unknown;
}

/**
 * The one error of this library. `code` is from the closed table of the contracts; `retryable` says whether the same call may succeed later
 * without a change, `next` what to do. `ERR_TIMEOUT` after a call that is not `safe` to repeat means that the outcome is unknown.
 */
export class ClavigerError extends Error {
  readonly detail: string;
  readonly retryable: boolean;
  readonly status: number;
  readonly next: string;
  readonly requestId?: string;
  readonly receipt?: Receipt;
  /** Of ERR_QUOTA_EXCEEDED: when the next window begins. */
  readonly retryAfterMs?: number;

  constructor(
    readonly code: ErrorCode,
    { detail, requestId, receipt, retryAfterMs, cause }: ErrorDetails = {},
  ) {
    const { status, retryable, title, next } = errorTable[code];
    super(`${code}: ${detail ?? title}`, cause === undefined ? undefined : { cause });
    this.name = 'ClavigerError';
    this.detail = detail ?? title;
    this.retryable = retryable;
    this.status = status;
    this.next = next;
    if (requestId !== undefined) this.requestId = requestId;
    if (receipt !== undefined) this.receipt = receipt;
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }

  static fromProblem({ code, detail, retryAfterMs }: Problem, details: ErrorDetails): ClavigerError {
    return new ClavigerError(code, { detail, ...(retryAfterMs === undefined ? {} : { retryAfterMs }), ...details });
  }
}
