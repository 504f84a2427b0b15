import { guardChanges, strictest } from '@claviger/authz';
import { type PolicyBundle, ProblemError } from '@claviger/contracts';
import type { Asker } from '@claviger/service';

/** The quorum guards itself: who could change it alone could approve alone. `what` is what needs it. Throws Refusal ERR_APPROVAL_REQUIRED. */
export function assertGuarded(from: PolicyBundle, to: PolicyBundle, admitWith: Asker['admitWith'], what: string): void {
  const changes = guardChanges(from, to, Date.now());
  if (changes.length === 0) return;
  const why = `${what} needs approval: ${changes.map((change) => change.why).join('; ')}`.slice(0, 2_000);
  const rule = strictest(changes.map((change) => change.rule));
  if (!rule) throw new ProblemError('ERR_POLICY_INVALID', `${why}. No person can approve all of that: do it in several steps.`);
  admitWith(rule, why);
}
