import { type Admission, type Gate, Refusal } from '@claviger/authz';
import { type Operation, ProblemError } from '@claviger/contracts';
import type { Answer, AuditTrail, RequestContext } from '@claviger/messaging';
import { Logger } from '@nestjs/common';

/** What was done, for the record. */
export interface Done {
  result: unknown;
  keyId?: string;
  version?: number;
  reason?: string;
}

/** One command: session, then whatever `act` asks policy and does, then exactly one record, then the answer. */
export class RecordedCommand {
  private readonly logger = new Logger('key-lifecycle');

  constructor(
    private readonly gate: Gate,
    private readonly trail: AuditTrail,
  ) {}

  async run(
    operation: Operation,
    context: RequestContext,
    about: { keyId?: string; reason?: string },
    act: (admit: (...asked: AskPolicy) => Admission) => Promise<Done>,
  ): Promise<Answer> {
    if (!this.trail.commit.available) throw new ProblemError('ERR_AUDIT_UNAVAILABLE');
    let admission: Admission | undefined;
    try {
      const session = await this.gate.arrived(context);
      const { result, ...done } = await act((...asked) => {
        admission = this.gate.decide(session, ...asked);
        return admission;
      });
      if (!admission) throw new Error(`${operation.name} did not ask policy`);
      const receipt = await this.trail.operation({
        action: operation.action,
        ...this.trail.who(context),
        ip: session.ip,
        mfa: session.mfa,
        ...about,
        ...done,
        outcome: 'success',
        policies: admission.policies as string[],
        revisions: admission.revisions,
      });
      return { result, receipt };
    } catch (error) {
      if (error instanceof ProblemError && error.code === 'ERR_AUDIT_UNAVAILABLE') throw error;
      if (!(error instanceof ProblemError))
        this.logger.error(`${operation.name} failed: ${error instanceof Error ? error.message : 'unknown'}`);
      const problem = error instanceof ProblemError ? error : new ProblemError('ERR_INTERNAL', undefined, { cause: error });
      const decided = problem instanceof Refusal ? problem : admission;
      return this.trail.refuse(context, operation, problem, {
        ...about,
        ...(decided ? { policies: decided.policies as string[], revisions: decided.revisions } : {}),
      });
    }
  }
}

type AskPolicy = Gate['decide'] extends (session: never, ...rest: infer R) => Admission ? R : never;
