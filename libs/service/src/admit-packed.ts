import { claviger, type Gate, Refusal } from '@claviger/authz';
import { type Action, actionTable, ProblemError, type SessionView } from '@claviger/contracts';
import type { AdmitPacked, AuditTrail } from '@claviger/messaging';
import { decidedOn, whose } from './recorded-reply';

/**
 * What is packed in a request becomes up to eight MiB, and much work: it is inflated for those only who have a live session and whom policy could allow the
 * operation. Everybody else costs what any refused request costs. Policy is asked again, and counts, when the request is known.
 */
export const admitPackedBy =
  (gate: Pick<Gate, 'arrived' | 'assertPossible'>, trail: Pick<AuditTrail, 'refuse'>): AdmitPacked =>
  async (request, operation) => {
    let session: SessionView | undefined;
    try {
      session = await gate.arrived(request);
      const action = operation.action as Action;
      // Of a key nothing is known yet.
      if (actionTable[action] === 'System') gate.assertPossible(session, action, claviger);
    } catch (error) {
      const problem = error instanceof ProblemError ? error : new ProblemError('ERR_INTERNAL', undefined, { cause: error });
      await trail.refuse(request, operation, problem, {
        ...whose(session),
        ...(problem instanceof Refusal ? decidedOn(problem) : {}),
      });
    }
  };
