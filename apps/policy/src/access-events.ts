import { randomUUID } from 'node:crypto';
import { type BreakGlassReview, type CloudEvent, cloudEvent, type Grant } from '@claviger/contracts';

const about = (subject: string, nowMs: number) => ({
  ...{ id: randomUUID(), source: 'claviger/policy', time: new Date(nowMs).toISOString(), subject },
});

const grantData = (grant: Grant) => ({
  ...{ grant: grant.id, principal: grant.principal },
  ...('role' in grant ? { role: grant.role } : { action: grant.action, key: grant.key }),
  ...(grant.notBefore ? { from: grant.notBefore } : {}),
  ...(grant.notAfter ? { until: grant.notAfter } : {}),
  ...(grant.elevated ? { elevated: grant.elevated } : {}),
});

export const elevatedEvent = (grant: Grant, nowMs: number): CloudEvent =>
  cloudEvent('io.claviger.access.elevated', { ...about(grant.id, nowMs), data: grantData(grant) });

export const endedEvent = (grant: Grant, by: string, reason: string, nowMs: number): CloudEvent =>
  cloudEvent('io.claviger.access.elevation-ended', { ...about(grant.id, nowMs), data: { ...grantData(grant), by, reason } });

const reviewData = (
  { id, principal, role, change, reason, involved, from, until, closings }: BreakGlassReview,
  reviewers: readonly string[],
) => ({
  ...{ review: id, principal, role, change, reason, involved, from, until },
  ...{ reviewers: [...reviewers], closedBy: closings.map(({ by }) => by) },
});

type ReviewEvent =
  | 'io.claviger.access.break-glass'
  | 'io.claviger.access.break-glass-review-due'
  | 'io.claviger.access.break-glass-reviewed';
export const reviewEvent = (type: ReviewEvent, review: BreakGlassReview, reviewers: readonly string[], nowMs: number): CloudEvent =>
  cloudEvent(type, { ...about(review.id, nowMs), data: reviewData(review, reviewers) });
