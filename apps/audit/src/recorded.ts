import { type Admission, Gate, Refusal } from '@claviger/authz';
import { type Operation, ProblemError, type Result } from '@claviger/contracts';
import { LedgerError } from '@claviger/ledger';
import { type Answer, AuditTrail, type RequestContext } from '@claviger/messaging';
import { MongoError } from 'mongodb';

/** One request, in the order of DESIGN.md: who and may they, the work, the record, the answer. Exactly one record per reply; no record, no answer. */
export class Recorded {
  constructor(
    private readonly gate: Gate,
    private readonly trail: AuditTrail,
  ) {}

  async answer<O extends Operation>(operation: O, context: RequestContext, work: () => Promise<Result<O>>): Promise<Answer<Result<O>>> {
    if (!this.trail.commit.available) throw new ProblemError('ERR_AUDIT_UNAVAILABLE');
    let admission: Admission | undefined;
    let result: Result<O>;
    try {
      admission = await this.gate.enter(context, operation.action);
      result = await work();
    } catch (error) {
      const problem = problemOf(error);
      const decided = problem instanceof Refusal ? problem : admission;
      return this.trail.refuse(context, operation, problem, {
        ...(admission ? { ip: admission.session.ip, mfa: admission.session.mfa } : {}),
        ...(decided ? { policies: [...decided.policies], revisions: decided.revisions } : {}),
      });
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
}

/** What went wrong, in the closed codes; the cause stays with it for the log. Unknown (the store is away) is not absent. */
function problemOf(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof LedgerError && error.code === 'ERR_TREE_RANGE') return new ProblemError('ERR_MALFORMED_REQUEST', error.message);
  if (error instanceof MongoError) return new ProblemError('ERR_STORE_UNAVAILABLE', undefined, { cause: error });
  return new ProblemError('ERR_INTERNAL', undefined, { cause: error });
}
