import { setTimeout as delay } from 'node:timers/promises';
import type { Operation } from '@claviger/contracts';
import type { MsgHdrs } from '@nats-io/transport-node';
import { ClavigerError } from './claviger-error';
import { toUnanswered, type UnansweredRequest } from './connection-error';
import type { Link } from './link';
import { attemptTimeoutMs, retryPauseMs } from './retry';
import { newSessionId } from './session-id';
import { traceCall } from './trace';
import { commandInput, decodeReply, encodeRequest } from './wire';

export interface CallOptions {
  /** Deadline of the whole call, reconnection and retries included. */
  timeoutMs?: number;
  /** `[A-Za-z0-9_-]{1,64}`; goes into the record. A fresh one is made otherwise; retries send the same. */
  requestId?: string;
  /** The change request that others approved, and that it is to be done by: exactly this command, once. */
  change?: string;
}

/** A call that policy asks for the approval of others for, and its input as a change request names it. */
export interface Unapproved {
  readonly operation: string;
  readonly input: Record<string, unknown>;
  readonly error: ClavigerError;
}
/** Gives the change that the call is to be done by, or undefined, or throws what the caller is to hear. */
export type OnApprovalRequired = (refused: Unapproved) => Promise<string | undefined>;

interface Prepared {
  body: string;
  carrier: MsgHdrs | undefined;
  requestId: string;
  timeoutMs: number;
  /** On the clock of `performance.now()`. */
  deadline: number;
}

/** Calls operations: one deadline over everything, retries where they are safe. */
export class Caller {
  private readonly origin = newSessionId();
  private count = 0;

  constructor(
    private readonly link: Link,
    private readonly timeoutMs: number,
    private readonly onApprovalRequired?: OnApprovalRequired,
  ) {}

  /** @throws ClavigerError */
  async call(operation: Operation, input: Record<string, unknown>, options: CallOptions = {}): Promise<Record<string, unknown>> {
    const { timeoutMs = this.timeoutMs, requestId = `${this.origin}-${(this.count++).toString(36)}`, change } = options;
    const body = encodeRequest(operation, input, requestId, change);
    const { carrier, end } = traceCall(operation.name);
    const deadline = performance.now() + timeoutMs;
    try {
      const result = await this.attempts(operation, { body, carrier, requestId, timeoutMs, deadline });
      end(false);
      return result;
    } catch (error) {
      end(true);
      const approved = change === undefined ? await this.approved(operation, input, error) : undefined;
      if (approved !== undefined) return this.call(operation, input, { ...options, change: approved });
      throw error;
    }
  }

  private async approved(operation: Operation, input: Record<string, unknown>, error: unknown): Promise<string | undefined> {
    if (!(error instanceof ClavigerError) || error.code !== 'ERR_APPROVAL_REQUIRED') return undefined;
    return this.onApprovalRequired?.({ operation: operation.name, input: commandInput(operation, input), error });
  }

  private async attempts(operation: Operation, request: Prepared): Promise<Record<string, unknown>> {
    let heard: ClavigerError | undefined;
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.attempt(operation, request);
      if ('result' in outcome) return outcome.result;
      const { undelivered } = outcome;
      // A deadline says less than the problem that a service named before it; but of what must not be repeated it says that nobody knows the outcome.
      const error = operation.retry === 'safe' && outcome.error.code === 'ERR_TIMEOUT' && heard ? heard : outcome.error;
      heard = error;
      const remainingMs = request.deadline - performance.now();
      const pauseMs = retryPauseMs({
        retry: operation.retry,
        retryable: error.retryable,
        retryAfterMs: error.retryAfterMs,
        undelivered,
        attempt,
        remainingMs,
        random: Math.random(),
      });
      if (pauseMs === undefined) throw error;
      await delay(pauseMs);
    }
  }

  /** @throws ClavigerError when no connection can be had within the deadline: nothing was sent, and nothing is left to wait for */
  private async attempt(operation: Operation, request: Prepared): Promise<{ result: Record<string, unknown> } | UnansweredRequest> {
    const { body, carrier, requestId, timeoutMs, deadline } = request;
    const session = await this.link.session(Math.max(1, deadline - performance.now()));
    session.inFlight++;
    let text: string;
    try {
      const timeout = attemptTimeoutMs(operation.retry, timeoutMs, deadline - performance.now());
      const options = carrier ? { timeout, headers: carrier } : { timeout };
      text = (await session.answers.request(session.subjectPrefix + operation.name, body, options)).string();
    } catch (error) {
      return toUnanswered(error, operation.name, requestId);
    } finally {
      this.link.release(session);
    }
    try {
      return { result: decodeReply(operation, text, requestId) };
    } catch (error) {
      const problem = asClavigerError(error, requestId);
      if (problem.code === 'ERR_SESSION_UNKNOWN' || problem.code === 'ERR_SESSION_EXPIRED') this.link.replace(session);
      return { error: problem, undelivered: false };
    }
  }
}

const asClavigerError = (error: unknown, requestId: string): ClavigerError =>
  error instanceof ClavigerError ? error : new ClavigerError('ERR_INTERNAL', { requestId, cause: error });
