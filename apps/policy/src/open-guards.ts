import { type Evaluator, guardStandings } from '@claviger/authz';
import { cloudEvent, eventSubject, type GuardShown, type PolicyBundle, ProblemError } from '@claviger/contracts';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';

const open = 'io.claviger.policy.guards-open';
const lookEveryMs = 60_000;
/** A role that was granted for a time ends without another bundle. */
const goodForMs = 600_000;
const toldAtMost = 100;

interface Standings {
  revision: number;
  guards: (GuardShown & { holds: boolean })[];
}

/**
 * While so few people have keys that a guard's quorum is never reached, one person who publishes policies may change it. That is told, in POLICY and in the log, of
 * each bundle that is like that, and once more every day. Each replica tells it, under the same id.
 */
export class OpenGuards {
  private timer: NodeJS.Timeout | undefined;
  private known: (Standings & { bundle: PolicyBundle; atMs: number }) | undefined;
  private told = '';

  constructor(
    private readonly evaluator: Pick<Evaluator, 'current'>,
    private readonly connection: NatsConnection,
    private readonly logger: Pick<LoggerService, 'warn'>,
    private readonly nowMs: () => number = Date.now,
  ) {}

  /** Once a bundle is in force. */
  start(): void {
    void this.tell();
    this.timer = setInterval(() => void this.tell(), lookEveryMs);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Of the bundle in force. Throws ERR_STATE_STALE. */
  standings(): Standings {
    const bundle = this.evaluator.current?.bundle;
    if (!bundle) throw new ProblemError('ERR_STATE_STALE');
    const nowMs = this.nowMs();
    if (this.known?.bundle !== bundle || nowMs - this.known.atMs > goodForMs) {
      const guards = guardStandings(bundle, nowMs).map(({ approvers, ...guard }) => ({ ...guard, approvers: [...approvers] }));
      this.known = { bundle, atMs: nowMs, revision: bundle.revision, guards };
    }
    const { revision, guards } = this.known;
    return { revision, guards };
  }

  async tell(): Promise<void> {
    if (!this.evaluator.current) return;
    const { revision, guards } = this.standings();
    const weak = guards.filter(({ holds }) => !holds);
    const time = new Date(this.nowMs()).toISOString();
    const id = `guards-open.${revision}.${time.slice(0, 10)}`;
    if (weak.length === 0 || this.told === id) return;
    const shown = weak.slice(0, toldAtMost).map(({ holds: _, ...guard }) => guard);
    const event = cloudEvent(open, { id, source: 'claviger/policy', time, subject: String(revision), data: { revision, guards: shown } });
    try {
      await jetstream(this.connection).publish(eventSubject(open), JSON.stringify(event), { msgID: id });
      this.told = id;
      this.logger.warn(weakText(weak));
    } catch (error) {
      this.logger.warn(`policies that do not hold could not be told, and will be: ${String(error)}`);
    }
  }
}

/** What one person could do, and what ends it. */
export const weakText = (weak: readonly GuardShown[]): string => {
  const each = weak.slice(0, 10).map(({ policy, quorum, able }) => `${policy} (${able} of ${quorum} could approve)`);
  return `ONE PERSON WHO PUBLISHES POLICIES MAY CHANGE ${weak.length} OF THOSE THAT ASK FOR APPROVAL: ${each.join(', ')}. Enrol approvers: claviger approvals`;
};
