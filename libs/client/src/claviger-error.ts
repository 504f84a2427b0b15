import { type ErrorCode, errorTable, type Problem, type Receipt } from '@claviger/contracts';

export interface ErrorDetails {
  detail?: string;
  requestId?: string;
  /** Where the refusal or failure is recorded. */
  receipt?: Receipt;
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

  constructor(
    readonly code: ErrorCode,
    { detail, requestId, receipt, cause, approval }: ErrorDetails = {},
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
  }

  static fromProblem({ code, detail, approval }: Problem, details: ErrorDetails): ClavigerError {
    return new ClavigerError(code, { detail, ...details, ...(approval ? { approval } : {}) });
  }
}
