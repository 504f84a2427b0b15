import { guardChanges, strictest } from '@claviger/authz';
import { type Operation, type PolicyBundle, ProblemError } from '@claviger/contracts';
import type { Asker } from '@claviger/service';

/** The quorum guards itself: who could change it alone could approve alone. Throws Refusal ERR_APPROVAL_REQUIRED. */
export function assertGuarded(
  { action }: Pick<Operation, 'action'>,
  from: PolicyBundle,
  to: PolicyBundle,
  admitWith: Asker['admitWith'],
): void {
  const changes = guardChanges(from, to, Date.now());
  if (changes.length === 0) return;
  const why = `${action} of this bundle needs approval: ${changes.map((change) => change.why).join('; ')}`.slice(0, 2_000);
  const rule = strictest(changes.map((change) => change.rule));
  if (!rule) throw new ProblemError('ERR_POLICY_INVALID', `${why}. No person can approve all of that: publish it in several steps.`);
  admitWith(rule, why);
}
