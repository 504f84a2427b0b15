import { assignmentsOf, claviger, Evaluator, isSamePerson } from '@claviger/authz';
import { type PolicyBundle, ProblemError, type Request, type Result, reviewOperations } from '@claviger/contracts';
import { type Answer, AuditTrail, type RecordIntent, type RequestContext } from '@claviger/messaging';
import { type OwedRecord, RecordedReply, SystemReplies } from '@claviger/service';
import { Controller, Logger } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { Activities, activityOf } from './activities';
import { assertGuarded } from './assert-guarded';
import { BundleKeeper } from './bundle-keeper';
import { recordFurther } from './further-records';
import { decideReview, isReviewer, type Review, reviewDueAt, reviewEvent, revokedIn, settled, startReview, summaryOf } from './review';
import { bundleAfter, takenBy } from './review-completion';
import { ReviewDocuments } from './review-documents';
import { newReviewId } from './review-id';

const { startReview: start, listReviews: list, showReview: show, decideReview: decide, completeReview: complete } = reviewOperations;
const listedMost = 100;
/** Access that was not used for so long counts as unused in a review. */
const unusedDays = 400;
const dayMs = 86_400_000;

/** `access.*-review`: campaigns in which people confirm or take away what others have. */
@Controller()
export class ReviewsController {
  private readonly logger = new Logger('reviews');

  constructor(
    private readonly recorded: RecordedReply,
    private readonly replies: SystemReplies,
    private readonly bundles: BundleKeeper,
    private readonly evaluator: Evaluator,
    private readonly activities: Activities,
    private readonly trail: AuditTrail,
    private readonly documents: ReviewDocuments,
  ) {}

  @MessagePattern(start.name)
  start(@Payload() { type: _, requestId: __, ...asked }: Request<typeof start>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.answer(start, context, {}, async ({ admit, intend }) => {
      admit('access:StartReview', claviger);
      const nowMs = Date.now();
      const review = startReview(newReviewId(), { ...asked, startedBy: context.principal }, this.bundle(), nowMs);
      const intent = intend({ revision: 1, reason: `review ${review.id} of ${review.items.length} assignments: ${asked.reason}` });
      const owed = this.documents.owed.owe(review.id, intent);
      const events = [reviewEvent('io.claviger.access.review-started', review, context.principal, review.startedAt)];
      await this.documents.store.create(review, { dueAt: reviewDueAt(review), events, owed: [owed] });
      return {
        result: summaryOf(review, nowMs),
        record: { reason: intent.entry.reason },
        recorded: () => this.documents.owed.settle(review.id, owed),
      };
    });
  }

  @MessagePattern(list.name)
  list(@Payload() { state }: Request<typeof list>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(list, context, async () => {
      const found = (await this.documents.store.list(listedMost)).map((review) => summaryOf(review, Date.now()));
      return { reviews: state ? found.filter((review) => review.state === state) : found };
    });
  }

  @MessagePattern(show.name)
  show(@Payload() request: Request<typeof show>, @Ctx() context: RequestContext): Promise<Answer> {
    const work = async (): Promise<Result<typeof show>> => {
      const review = await this.found(request.reviewId);
      const nowMs = Date.now();
      const wanted = review.items.flatMap((item, at) =>
        at >= request.from && (!request.undecided || !item.decision) ? [{ item, at }] : [],
      );
      const page = wanted.slice(0, request.limit);
      const now = new Map(assignmentsOf(this.bundle()).map((assignment) => [assignment.id, assignment]));
      const since = new Date(nowMs - unusedDays * dayMs).toISOString();
      const there = page.flatMap(({ item }) => now.get(item.assignment) ?? []);
      const seen = request.lastUse ? await this.activities.of(there, this.evaluator.permits(), since, context.trace) : new Map();
      return {
        review: summaryOf(review, nowMs),
        items: page.map(({ item }) => ({
          ...item,
          lastUse: activityOf(seen, { principal: item.principal, id: item.assignment }),
          gone: !now.has(item.assignment),
        })),
        unusedSince: since,
        ...(wanted.length > page.length ? { next: page.at(-1)!.at + 1 } : {}),
      };
    };
    return this.replies.answer(show, context, work, { reason: `review ${request.reviewId}` });
  }

  @MessagePattern(decide.name)
  decide(@Payload() { reviewId, decisions }: Request<typeof decide>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.answer(decide, context, { reason: `review ${reviewId}` }, async ({ admit, intend }) => {
      admit('access:DecideReview', claviger);
      const { principals } = this.bundle();
      const self = principals.find(({ id }) => id === context.principal);
      const isSelf = (id: string) => {
        const other = principals.find((principal) => principal.id === id);
        return id === context.principal || (self !== undefined && other !== undefined && isSamePerson(self, other));
      };
      const said = decisions.map(({ assignment, decision, reason }) => `${decision} ${assignment} (${reason})`).join('; ');
      const reason = `review ${reviewId}: ${said}`.slice(0, 16_000);
      let owed: OwedRecord | undefined;
      const review = await this.documents.store.change(reviewId, (current) => {
        if (!isReviewer(current, context.principal, this.evaluator.groupsOf(context.principal) ?? []))
          throw new ProblemError('ERR_ACCESS_DENIED', 'You are not one of the reviewers.');
        const value = decideReview(current, decisions, context.principal, new Date().toISOString(), isSelf);
        owed = this.documents.owed.owe(reviewId, intend({ revision: current.revision + 1, reason }));
        return { value, dueAt: reviewDueAt(value), owed: [owed] };
      });
      return { result: summaryOf(review, Date.now()), record: { reason }, recorded: () => this.documents.owed.settle(reviewId, owed!) };
    });
  }

  /** First the policies, then the review: killed in between it is open still, and completed anew it finds nothing left to take. */
  @MessagePattern(complete.name)
  complete(@Payload() request: Request<typeof complete>, @Ctx() context: RequestContext): Promise<Answer> {
    const { reviewId, undecided } = request;
    return this.recorded.answer(
      complete,
      context,
      { reason: `review ${reviewId}: ${request.reason}` },
      async ({ admit, admitWith, intend }) => {
        admit('access:CompleteReview', claviger);
        const { principal: by } = context;
        const at = new Date().toISOString();
        const close = (review: Review) => settled(review, undecided, by, at, request.reason);
        const decided = close(await this.found(reviewId));
        let further: RecordIntent[] = [];
        let revision = this.bundle().revision;
        const published = await this.bundles.amend(
          (bundle) => {
            revision = bundle.revision;
            further = takenBy(decided, bundle).map((taken) => this.revocation(decided, taken.id, by, context.session, bundle.revision + 1));
            return bundleAfter(decided, bundle);
          },
          ({ revision: next }) => intend({ revision: next, reason: `review ${reviewId}: ${further.length} taken away; ${request.reason}` }),
          (from, to) => assertGuarded(from, to, admitWith, 'access:CompleteReview of this review'),
          () => ({ further }),
        );
        if (published) await recordFurther(this.trail, further, published.furtherRecorded, this.logger);
        const taken = published ? further.length : 0;
        const done = { at, by, revision: published?.bundle.revision ?? revision, taken };
        let owed: OwedRecord | undefined;
        const reason = `review ${reviewId} completed: ${taken} taken away; ${request.reason}`;
        const review = await this.documents.store.change(reviewId, (current) => {
          const value: Review = { ...close(current), state: 'completed', completed: done };
          // What somebody decided since is not in the policies.
          if ([...revokedIn(value)].some((id) => !revokedIn(decided).has(id)))
            throw new ProblemError('ERR_CONFLICT', 'Somebody decided otherwise meanwhile: complete it again.');
          // A publication owes the record already.
          owed = published ? undefined : this.documents.owed.owe(reviewId, intend({ revision: current.revision + 1, reason }));
          const events = [reviewEvent('io.claviger.access.review-completed', value, by, at)];
          return { value, dueAt: null, events, owed: owed ? [owed] : [] };
        });
        const recorded = () => {
          published?.recorded();
          if (owed) this.documents.owed.settle(reviewId, owed);
        };
        return { result: summaryOf(review, Date.now()), record: { reason }, recorded };
      },
    );
  }

  private revocation(review: Review, assignment: string, principal: string, session: string, revision: number): RecordIntent {
    const { decision } = review.items.find((item) => item.assignment === assignment)!;
    const reason = `review ${review.id}: ${assignment} taken away; ${decision!.by}: ${decision!.reason}`;
    return this.trail.intend({ action: 'access:Revoke', principal, session, reason, revisions: {}, revision });
  }

  private bundle(): PolicyBundle {
    const { current } = this.evaluator;
    if (!current) throw new ProblemError('ERR_STATE_STALE');
    return current.bundle;
  }

  private async found(reviewId: string): Promise<Review> {
    const review = await this.documents.store.get(reviewId);
    if (!review) throw new ProblemError('ERR_NOT_FOUND', `There is no review ${reviewId}.`);
    return review;
  }
}
