import type { SessionView } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import { Fold } from './fold';
import { LogFollower } from './log-follower';
import { parseViolation, type Violation } from './violation-line';

type Recorded = Omit<Violation, 'client'> & { principal: string };

/** What admitted connections tried beyond their permissions, from the broker's log: one record per session, kind and subject a second. */
export class Violations {
  private readonly fold = new Fold<Recorded>(
    ({ session, violation, subject }) => JSON.stringify([session, violation, subject]),
    (event) => ({ ...event, subject: '(several)' }),
  );
  private readonly follower: LogFollower;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    logFile: string,
    private readonly find: (session: string) => SessionView | undefined,
    private readonly trail: Pick<AuditTrail, 'append'>,
    private readonly logger: LoggerService,
  ) {
    this.follower = new LogFollower(
      logFile,
      (line) => this.onLine(line),
      (error) => logger.warn(`broker log: ${String(error)}`),
    );
  }

  async start(everyMs = 1_000): Promise<void> {
    await this.follower.start();
    this.timer = setInterval(() => void this.flush(), everyMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.follower.stop();
    await this.flush();
  }

  private onLine(line: string): void {
    const seen = parseViolation(line);
    if (!seen) return;
    const session = this.find(seen.session);
    // A name is the client's own text: it speaks of this session only when the broker admitted it on this very connection.
    if (session?.client !== seen.client) return;
    const { violation, subject } = seen;
    this.fold.add({ session: seen.session, violation, subject, principal: session.principal });
  }

  private async flush(): Promise<void> {
    const recorded = this.fold.take().map(({ event, count }) => this.trail.append({ kind: 'violation', ...event, count }));
    for (const outcome of await Promise.allSettled(recorded))
      if (outcome.status === 'rejected') this.logger.error(`violations were not recorded in time: ${String(outcome.reason)}`);
  }
}
