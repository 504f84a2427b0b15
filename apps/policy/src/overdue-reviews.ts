import type { AuditTrail } from '@claviger/messaging';
import { Repeated } from '@claviger/service';
import type { LoggerService } from '@nestjs/common';
import { type Review, reviewDueAt, reviewEvent } from './review';
import { type SignedStore, TamperedDocument } from './signed-store';

const claimMs = 60_000;
const iso = (ms: number) => new Date(ms).toISOString();

/** Tells once, as an event and in the ledger, that a review is not completed at its due date. Several replicas may look: one of them tells it. */
export class OverdueReviews {
  private readonly repeated = new Repeated(
    () => this.sweepOnce(),
    (error) => this.logger.warn(`reviews that are overdue: ${String(error)}`),
  );

  constructor(
    private readonly store: SignedStore<Review>,
    private readonly trail: AuditTrail,
    private readonly logger: LoggerService,
    private readonly nowMs: () => number = Date.now,
  ) {}

  start(everyMs: number): void {
    this.repeated.start(everyMs);
  }

  stop(): Promise<void> {
    return this.repeated.stop();
  }

  sweep(): Promise<void> {
    return this.repeated.now();
  }

  private async sweepOnce(): Promise<void> {
    // What could not be recorded is not told.
    while (this.trail.commit.available) {
      const nowMs = this.nowMs();
      const review = await this.claimed(nowMs);
      if (review === 'none') return;
      if (review && reviewDueAt(review) !== null && Date.parse(review.dueAt) <= nowMs) await this.tell(review, iso(nowMs));
    }
  }

  /** The record first: killed before the event is stored, it is told once more under the same id, and recorded twice. */
  private async tell(review: Review, time: string): Promise<void> {
    const open = review.items.filter(({ decision }) => !decision).length;
    const reason = `review ${review.id} (${review.name}) was due at ${review.dueAt}; ${open} of ${review.items.length} assignments are not decided`;
    const entry = { action: 'access:ReviewOverdue', principal: 'policy', session: 'schedule', reason, revisions: {} };
    await this.trail.operation({ ...entry, outcome: 'success' });
    await this.store.change(review.id, (current) => {
      const value = { ...current, overdueTold: true };
      return { value, dueAt: reviewDueAt(value), events: [reviewEvent('io.claviger.access.review-overdue', current, 'policy', time)] };
    });
    this.logger.warn(reason);
  }

  private async claimed(nowMs: number): Promise<Review | 'none' | undefined> {
    try {
      return (await this.store.claim(iso(nowMs), iso(nowMs + claimMs))) ?? 'none';
    } catch (error) {
      // It stays claimed for a while, and is told where it is read.
      if (error instanceof TamperedDocument) return undefined;
      throw error;
    }
  }
}
