import type { SessionView } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import { Fold, FoldedRecords } from '@claviger/service';
import type { LoggerService } from '@nestjs/common';
import { LogFollower } from './log-follower';
import { parseViolation, type Violation } from './violation-line';

type Recorded = Omit<Violation, 'client'> & { principal: string };

/** What admitted connections tried beyond their permissions, from the broker's log: one record per session, kind and subject a second. */
export class Violations {
  private readonly records: FoldedRecords<Recorded>;
  private readonly follower: LogFollower;

  constructor(
    logFile: string,
    private readonly find: (session: string) => SessionView | undefined,
    trail: Pick<AuditTrail, 'append' | 'commit'>,
    logger: LoggerService,
  ) {
    const fold = new Fold<Recorded>(
      ({ session, violation, subject }) => JSON.stringify([session, violation, subject]),
      (event) => ({ ...event, subject: '(several)' }),
    );
    const record = (event: Recorded, count: number) => ({ kind: 'violation', ...event, count });
    this.records = new FoldedRecords({ fold, record, trail, logger, what: 'violations' });
    this.follower = new LogFollower(
      logFile,
      (line) => this.onLine(line),
      (error) => logger.warn(`broker log: ${String(error)}`),
    );
  }

  async start(everyMs = 1_000): Promise<void> {
    await this.follower.start();
    this.records.start(everyMs);
  }

  async stop(): Promise<void> {
    await this.follower.stop();
    await this.records.stop();
  }

  private onLine(line: string): void {
    const seen = parseViolation(line);
    if (!seen) return;
    const session = this.find(seen.session);
    // A name is the client's own text: it speaks of this session only when the broker admitted it on this very connection.
    if (session?.client !== seen.client) return;
    const { violation, subject } = seen;
    this.records.add({ session: seen.session, violation, subject, principal: session.principal });
  }
}
