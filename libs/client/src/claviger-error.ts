import { type ErrorCode, errorTable, type Problem, type Receipt } from '@claviger/contracts';

export interface ErrorDetails {
  detail?: string;
  requestId?: string;
  /** Where the refusal or failure is recorded. */
  receipt?: Receipt;
  retryAfterMs?: number;
  cause?: unknown;
  /** Of ERR_APPROVAL_REQUIRED: what a change request can be made of. */
  approval?: Problem['approval'];
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
  readonly approval?: Problem['approval'];
  /** Of ERR_QUOTA_EXCEEDED: when the next window begins. */
  readonly retryAfterMs?: number;

  constructor(
    readonly code: ErrorCode,
    { detail, requestId, receipt, retryAfterMs, cause, approval }: ErrorDetails = {},
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
    if (approval !== undefined) this.approval = approval;
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }

  static fromProblem({ code, detail, retryAfterMs, approval }: Problem, details: ErrorDetails): ClavigerError {
    const more = { ...(retryAfterMs === undefined ? {} : { retryAfterMs }), ...(approval ? { approval } : {}) };
    return new ClavigerError(code, { detail, ...more, ...details });
  }
}
