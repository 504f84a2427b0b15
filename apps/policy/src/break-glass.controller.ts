import { claviger, closedBy, decideBreakGlass, Evaluator, isClosed, reviewersOf, whyNotClose, withReview } from '@claviger/authz';
import {
  type BreakGlassReview,
  elevationLimits,
  elevationOperations,
  type PolicyBundle,
  ProblemError,
  type Request,
  type Result,
} from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { reviewEvent } from './access-events';
import { BundleKeeper } from './bundle-keeper';
import { Granting } from './granting';

const { breakGlass, breakGlassReviews, closeReview } = elevationOperations;

/** `access.*`: a role at once in an emergency, and what has to be said about it afterwards. */
@Controller()
export class BreakGlassController {
  constructor(
    private readonly recorded: RecordedReply,
    private readonly bundles: BundleKeeper,
    private readonly evaluator: Evaluator,
    private readonly granting: Granting,
  ) {}

  @MessagePattern(breakGlass.name)
  breakGlass(@Payload() { role, minutes, reason }: Request<typeof breakGlass>, @Ctx() context: RequestContext): Promise<Answer> {
    const wanted = { role, minutes };
    const about = { reason: `the role ${role} for ${minutes} min: ${reason}` };
    return this.recorded.answer(breakGlass, context, about, (asker) => {
      asker.admit('access:BreakGlass', claviger);
      const requester = this.granting.requester(context, asker);
      const decide = (bundle: PolicyBundle) => decideBreakGlass(bundle, wanted, requester);
      return this.granting.grant({ operation: breakGlass, by: 'break-glass', wanted, reason, decide }, context, asker);
    });
  }

  @MessagePattern(breakGlassReviews.name)
  breakGlassReviews(@Payload() _request: Request<typeof breakGlassReviews>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.answer(breakGlassReviews, context, {}, ({ allows, admit, admitAnyone }) => {
      const { current } = this.evaluator;
      if (!current) throw new ProblemError('ERR_STATE_STALE');
      const { breakGlassReviews: open = [] } = current.bundle;
      const all = allows('access:ReadGrants', claviger);
      if (all) admit('access:ReadGrants', claviger);
      else admitAnyone();
      const result: Result<typeof breakGlassReviews> = {
        reviews: open.filter((review) => all || review.principal === context.principal || this.isReviewer(review, current.bundle, context)),
      };
      return { result };
    });
  }

  @MessagePattern(closeReview.name)
  closeReview(@Payload() { review: id, reason }: Request<typeof closeReview>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.answer(closeReview, context, { reason: `${id}: ${reason}` }, async ({ admit, intend }) => {
      admit('access:CloseReview', claviger);
      let review: BreakGlassReview | undefined;
      let reviewers: readonly string[] = [];
      const close = (bundle: PolicyBundle): PolicyBundle | undefined => {
        const nowMs = Date.now();
        const open = bundle.breakGlassReviews?.find((one) => one.id === id);
        if (!open) throw new ProblemError('ERR_NOT_FOUND', `There is no open review ${id}; it may have been closed.`);
        const closer = { id: context.principal, is: (entry: string) => this.evaluator.mayApproveAs(context.principal, entry, nowMs) };
        const why = whyNotClose(open, bundle, closer, (principal) => bundle.principals.find((one) => one.id === principal));
        if (why !== undefined) throw new ProblemError('ERR_REVIEWER', why);
        reviewers = reviewersOf(open, bundle);
        review = closedBy(open, context.principal, reason, nowMs);
        return review === open ? undefined : withReview(bundle, review);
      };
      const events = () =>
        review && isClosed(review) ? [reviewEvent('io.claviger.access.break-glass-reviewed', review, reviewers, Date.now())] : [];
      const published = await this.bundles.amend(
        close,
        ({ revision }) => intend({ revision }),
        // It changes no grant, and no approver.
        () => undefined,
        () => ({ events: events() }),
      );
      const by = (review as BreakGlassReview | undefined)?.closings.map((closing) => closing.by) ?? [];
      const missing = Math.max(0, elevationLimits.reviewers - by.length);
      const result: Result<typeof closeReview> = { review: id, closed: missing === 0, closedBy: by, missing };
      return { result, ...(published ? { recorded: published.recorded } : {}) };
    });
  }

  private isReviewer(review: BreakGlassReview, bundle: PolicyBundle, { principal }: RequestContext): boolean {
    const nowMs = Date.now();
    return reviewersOf(review, bundle).some((entry) => this.evaluator.mayApproveAs(principal, entry, nowMs));
  }
}
