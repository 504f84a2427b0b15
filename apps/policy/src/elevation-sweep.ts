import { Evaluator, isDue, isSwept, reviewersOf } from '@claviger/authz';
import type { BreakGlassReview, Grant, PolicyBundle } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import { Repeated } from '@claviger/service';
import type { LoggerService } from '@nestjs/common';
import { endedEvent, reviewEvent } from './access-events';
import type { BundleKeeper } from './bundle-keeper';

export interface SweepParts {
  evaluator: Evaluator;
  bundles: BundleKeeper;
  trail: AuditTrail;
  logger: Pick<LoggerService, 'warn'>;
  nowMs?: () => number;
}

interface Swept {
  readonly to: PolicyBundle;
  readonly ended: readonly Grant[];
  readonly due: readonly BreakGlassReview[];
}

/** What is to be done about grants that are over, and reviews whose reviewers are to be told again; undefined when nothing is. */
export function sweptOf(bundle: PolicyBundle, nowMs: number): Swept | undefined {
  const { grants, breakGlassReviews = [] } = bundle;
  const ended = grants.filter((grant) => isSwept(grant, nowMs));
  const due = breakGlassReviews.filter((review) => isDue(review, nowMs));
  if (ended.length === 0 && due.length === 0) return undefined;
  const toldAt = new Date(nowMs).toISOString();
  const told = breakGlassReviews.map((review) => (due.includes(review) ? { ...review, toldAt } : review));
  const to = {
    ...bundle,
    grants: grants.filter((grant) => !ended.includes(grant)),
    ...(told.length > 0 ? { breakGlassReviews: told } : {}),
  };
  return { to, ended, due };
}

/**
 * Takes grants out of the bundle that are over (by then they have given nothing for some minutes), and tells once a day of reviews that are open. Several replicas may look:
 * the bundle changes once.
 */
export class ElevationSweep {
  private readonly nowMs: () => number;
  private readonly repeated = new Repeated(
    () => this.sweepOnce(),
    (error) => this.parts.logger.warn(`grants that are over: tried again later: ${String(error)}`),
  );

  constructor(private readonly parts: SweepParts) {
    this.nowMs = parts.nowMs ?? Date.now;
  }

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
    const { evaluator, bundles, trail } = this.parts;
    const { current } = evaluator;
    // What cannot be recorded now is done later.
    if (!current || !trail.commit.available || !sweptOf(current.bundle, this.nowMs())) return;
    let swept: Swept | undefined;
    const sweep = (bundle: PolicyBundle) => {
      swept = sweptOf(bundle, this.nowMs());
      return swept?.to;
    };
    const intent = trail.intend({
      action: 'access:RevokeGrant',
      principal: 'policy',
      session: 'schedule',
      reason: '',
      revisions: {},
      revision: 0,
    });
    const intend = ({ revision }: PolicyBundle) => trail.intend({ ...intent.entry, reason: reasonOf(swept as Swept), revision }, intent.id);
    const published = await bundles.amend(
      sweep,
      intend,
      // What is over lets nobody approve.
      () => undefined,
      ({ breakGlass }) => ({ events: this.eventsOf(swept as Swept, { breakGlass }) }),
    );
    if (!published) return;
    const { revision } = published.bundle;
    const { revision: _, ...entry } = { ...intent.entry, reason: reasonOf(swept as Swept) };
    await trail.operation({ ...entry, outcome: 'success', revisions: { bundle: revision } }, intent.id);
    published.recorded();
  }

  private eventsOf({ ended, due }: Swept, bundle: Pick<PolicyBundle, 'breakGlass'>) {
    const nowMs = this.nowMs();
    return [
      ...ended.map((grant) => endedEvent(grant, 'policy', 'its time is over', nowMs)),
      ...due.map((review) => reviewEvent('io.claviger.access.break-glass-review-due', review, reviewersOf(review, bundle), nowMs)),
    ];
  }
}

const shown = 20;
function reasonOf({ ended, due }: Swept): string {
  const names = (ids: readonly { id: string }[]) =>
    `${ids
      .slice(0, shown)
      .map(({ id }) => id)
      .join(', ')}${ids.length > shown ? ` and ${ids.length - shown} more` : ''}`;
  const parts = [
    ...(ended.length > 0 ? [`grants that are over: ${names(ended)}`] : []),
    ...(due.length > 0 ? [`break-glass that was not reviewed: ${names(due)}`] : []),
  ];
  return parts.join('; ');
}
