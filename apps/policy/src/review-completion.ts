import { type Assignment, assignmentsOf, shortAfter, withoutAssignments } from '@claviger/authz';
import { type PolicyBundle, ProblemError } from '@claviger/contracts';
import { type Review, revokedIn } from './review';

/** What is taken away: of what was revoked, that which is there still, as it was given. */
export function takenBy(review: Review, bundle: PolicyBundle): Assignment[] {
  const revoked = revokedIn(review);
  return assignmentsOf(bundle).filter(({ id }) => revoked.has(id));
}

/** The bundle without what was revoked; undefined where nothing is to be taken. Throws ERR_LAST_HOLDER. */
export function bundleAfter(review: Review, bundle: PolicyBundle): PolicyBundle | undefined {
  const taken = takenBy(review, bundle);
  if (taken.length === 0) return undefined;
  const after = withoutAssignments(bundle, taken);
  const [short] = shortAfter(bundle, after, bundle.staleness?.keep);
  if (short)
    throw new ProblemError(
      'ERR_LAST_HOLDER',
      `${short.left} people would be left with the role ${short.role}, and ${short.atLeast} must be: decide anew about one of them.`,
    );
  return after;
}
