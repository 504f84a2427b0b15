import { type Admission, claviger, type Evaluator, type Gate, Refusal } from '@claviger/authz';
import { type Action, type Operation, type OperationRecord, ProblemError, type Result, type SessionView } from '@claviger/contracts';
import type { Answer, AuditTrail, RequestContext } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';

/** What an operation did: the result for the caller, and what its record adds. */
export interface Done<O extends Operation> {
  result: Result<O>;
  reason?: string;
  /** When the work itself asked policy: what that was decided on, instead of the admission. */
  decided?: Admission;
}

type Work<O extends Operation> = (admission: Admission) => Promise<Done<O>> | Done<O>;

/** One request of this service, in one order: may it be recorded, may the caller do it, do it, record it, answer. Exactly one record per reply. */
export class RecordedReply {
  constructor(
    private readonly gate: Gate,
    private readonly evaluator: Pick<Evaluator, 'current'>,
    private readonly trail: AuditTrail,
    private readonly logger: LoggerService,
  ) {}

  /** An operation that policy decides on. */
  decided<O extends Operation>(operation: O, context: RequestContext, work: Work<O>): Promise<Answer> {
    return this.reply(operation, context, (session) => this.gate.decide(session, operation.action as Action, claviger), work);
  }

  /** An operation that anybody with a live session may ask for. */
  ofAnyone<O extends Operation>(operation: O, context: RequestContext, work: Work<O>): Promise<Answer> {
    const revisions = (session: SessionView) => ({ session: session.revision, bundle: this.evaluator.current?.bundle.revision ?? 0 });
    return this.reply(operation, context, (session) => ({ session, policies: [], revisions: revisions(session) }), work);
  }

  private async reply<O extends Operation>(
    operation: O,
    context: RequestContext,
    admit: (session: SessionView) => Admission,
    work: Work<O>,
  ): Promise<Answer> {
    if (!this.trail.commit.available) throw new ProblemError('ERR_AUDIT_UNAVAILABLE');
    let session: SessionView | undefined;
    let admission: Admission | undefined;
    let done: Done<O>;
    try {
      session = await this.gate.arrived(context);
      admission = admit(session);
      done = await work(admission);
    } catch (error) {
      const decided = error instanceof Refusal ? error : admission;
      return this.trail.refuse(context, operation, this.problemOf(operation, error), about(session, decided));
    }
    const receipt = await this.trail.operation({
      action: operation.action,
      ...this.trail.who(context),
      outcome: 'success',
      revisions: {},
      ...about(session, done.decided ?? admission),
      ...(done.reason ? { reason: done.reason } : {}),
    });
    return { result: done.result, receipt };
  }

  private problemOf(operation: Operation, error: unknown): ProblemError {
    if (!(error instanceof ProblemError)) {
      this.logger.error(`${operation.name} failed`, error instanceof Error ? error.stack : String(error));
      return new ProblemError('ERR_INTERNAL', undefined, { cause: error });
    }
    if (error.cause !== undefined) this.logger.warn(`${operation.name}: ${error.message}: ${String(error.cause)}`);
    return error;
  }
}

function about(
  session: SessionView | undefined,
  decided: Pick<Refusal, 'policies' | 'revisions'> | undefined,
): Partial<Pick<OperationRecord, 'ip' | 'mfa' | 'policies' | 'revisions'>> {
  return {
    ...(session ? { ip: session.ip, mfa: session.mfa } : {}),
    ...(decided ? { policies: [...decided.policies], revisions: decided.revisions } : {}),
  };
}
