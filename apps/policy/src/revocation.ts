import type { SessionView } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import type { Sessions } from './sessions';

/** The broker's own service (ADR of nats-server 2.10: `$SYS.REQ.SERVER.<id>.KICK`), imported from SYS into CORE. */
const kickSubject = (server: string) => `$SYS.REQ.SERVER.${server}.KICK`;
const kickWaitMs = 2_000;

/** The end of a session, in this order: workers refuse it, the ledger says so, the broker cuts its connection. */
export class Revocation {
  constructor(
    private readonly connection: NatsConnection,
    private readonly sessions: Pick<Sessions, 'revoke'>,
    private readonly trail: Pick<AuditTrail, 'append'>,
    private readonly logger: LoggerService,
  ) {}

  /** Once however often it is asked. `by` is a principal id, or `policy` for the service itself. */
  async revoke(session: SessionView, by: string, reason: string): Promise<void> {
    const outcome = session.state === 'revoked' ? 'already revoked' : await this.sessions.revoke(session);
    if (outcome === 'revoked') {
      const { principal, method, mfa, ip } = session;
      await this.trail.append({
        kind: 'session',
        event: 'revoked',
        session: session.session,
        principal,
        method,
        mfa,
        ip,
        by,
        detail: reason,
      });
    }
    await this.cut(session);
  }

  /** A connection that cannot be cut now ends with its JWT; until then every worker refuses what it asks. */
  private async cut({ server, client, session }: SessionView): Promise<void> {
    if (server === undefined || client === undefined) return;
    try {
      await this.connection.request(kickSubject(server), JSON.stringify({ cid: client }), { timeout: kickWaitMs });
    } catch (error) {
      this.logger.warn(`session ${session}: its connection was not cut: ${String(error)}`);
    }
  }
}
