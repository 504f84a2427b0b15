import {
  type ElevationDecision,
  Evaluator,
  elevatedGrant,
  type Requester,
  reviewOf,
  separationIssues,
  type WantedAccess,
  wantedText,
  withGrant,
  withReview,
} from '@claviger/authz';
import {
  type Elevated,
  type elevationOperations,
  type Grant,
  type Operation,
  type PolicyBundle,
  ProblemError,
  type Result,
} from '@claviger/contracts';
import type { RequestContext } from '@claviger/messaging';
import type { Asker, Done } from '@claviger/service';
import { elevatedEvent, reviewEvent } from './access-events';
import { assertGuarded } from './assert-guarded';
import type { BundleKeeper } from './bundle-keeper';

export interface Asked {
  readonly operation: Operation;
  readonly by: Elevated['by'];
  readonly wanted: WantedAccess;
  readonly reason: string;
  /** By the bundle in the store, before anything is approved and again when it is. */
  readonly decide: (bundle: PolicyBundle) => ElevationDecision & { readonly reviewers?: readonly string[] };
}

/** Stands for the change where there is none yet. */
const noChange = `ch_${'0'.repeat(22)}`;

/** Puts a grant in force that others approved: a change whose command is the request, executed here in one compare-and-set of the bundle. */
export class Granting {
  constructor(
    private readonly bundles: BundleKeeper,
    private readonly evaluator: Evaluator,
  ) {}

  requester({ principal }: RequestContext, { session }: Asker): Requester {
    const nowMs = Date.now();
    return { id: principal, mfa: session.mfa, is: (entry) => this.evaluator.mayApproveAs(principal, entry, nowMs) };
  }

  /** Throws what `decide` throws, ERR_SEPARATION_OF_DUTIES, ERR_APPROVAL_REQUIRED. */
  async grant(asked: Asked, context: RequestContext, { admitWith, intend }: Asker): Promise<Done> {
    const { operation, by, wanted, reason, decide } = asked;
    let grant: Grant | undefined;
    let reviewers: readonly string[] | undefined;
    const add = (bundle: PolicyBundle): PolicyBundle => {
      const nowMs = Date.now();
      const { rules, reviewers: reviewedBy, ...rule } = decide(bundle);
      const elevated = { by, rules: [...rules], change: context.change ?? noChange, reason };
      const draft = elevatedGrant(wanted, context.principal, { ...elevated, approvedBy: [context.principal] }, nowMs);
      const to = { ...withGrant(bundle, draft), publishedAt: new Date(nowMs).toISOString() };
      const [issue] = separationIssues(to);
      if (issue) throw new ProblemError('ERR_SEPARATION_OF_DUTIES', issue.message);
      admitWith(
        rule,
        `${operation.action} of ${wantedText(wanted)} needs the approval of ${rule.quorum} of ${rule.approvers.join(' or ')}`,
      );
      assertGuarded(bundle, to, admitWith, operation.action);
      const { approvedBy = [] } = intend({ revision: bundle.revision + 1 }).entry;
      grant = elevatedGrant(wanted, context.principal, { ...elevated, approvedBy: [...approvedBy] }, nowMs);
      reviewers = reviewedBy;
      const granted = withGrant(bundle, grant);
      return reviewedBy ? withReview(granted, reviewOf(grant, reviewedBy, nowMs)) : granted;
    };
    const published = await this.bundles.amend(
      add,
      ({ revision }) => intend({ revision }),
      // Looked at above, with the approvals.
      () => undefined,
      () => ({ events: eventsOf(grant as Grant, reviewers) }),
    );
    if (!grant || !published) throw new Error('what was added to the bundle is not there');
    const result: Result<typeof elevationOperations.request> = { grant, revision: published.bundle.revision };
    return { result, recorded: published.recorded };
  }
}

function eventsOf(grant: Grant, reviewers: readonly string[] | undefined) {
  const nowMs = Date.now();
  const review = reviewers && reviewOf(grant, reviewers, nowMs);
  return [elevatedEvent(grant, nowMs), ...(review ? [reviewEvent('io.claviger.access.break-glass', review, review.reviewers, nowMs)] : [])];
}
