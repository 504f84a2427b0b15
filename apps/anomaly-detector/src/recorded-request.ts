import { type Admission, type Gate, Refusal } from '@claviger/authz';
import { type Operation, ProblemError } from '@claviger/contracts';
import type { Answer, AuditTrail, RequestContext } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';

/** Session, policy, work, record, answer: no record, no answer, and exactly one record a reply. */
export class RecordedRequest {
  constructor(
    private readonly gate: Gate,
    private readonly trail: AuditTrail,
    private readonly logger: LoggerService,
  ) {}

  async answer<T>(operation: Operation, context: RequestContext, work: () => Promise<T>): Promise<Answer<T>> {
    // Refused before it happens: it could not be recorded.
    if (!this.trail.commit.available) throw new ProblemError('ERR_AUDIT_UNAVAILABLE');
    let admission: Admission | undefined;
    let result: T;
    try {
      admission = await this.gate.enter(context, operation.action);
      result = await work();
    } catch (error) {
      return this.refuse(operation, context, admission, error);
    }
    const { session, policies, revisions } = admission;
    const receipt = await this.trail.operation({
      action: operation.action,
      ...this.trail.who(context),
      ip: session.ip,
      mfa: session.mfa,
      outcome: 'success',
      policies: [...policies],
      revisions,
    });
    return { result, receipt };
  }

  private refuse(operation: Operation, context: RequestContext, admission: Admission | undefined, error: unknown): Promise<never> {
    const problem = error instanceof ProblemError ? error : new ProblemError('ERR_INTERNAL', undefined, { cause: error });
    if (problem.cause !== undefined) this.logger.warn(`${operation.name}: ${problem.code}: ${String(problem.cause)}`);
    const decided = problem instanceof Refusal ? problem : admission;
    return this.trail.refuse(context, operation, problem, {
      ...(admission ? { ip: admission.session.ip, mfa: admission.session.mfa } : {}),
      ...(decided ? { policies: [...decided.policies], revisions: decided.revisions } : {}),
    });
  }
}
