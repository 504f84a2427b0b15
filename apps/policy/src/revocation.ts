import type { SessionsView, SessionView } from '@claviger/contracts';
import type { AuditTrail, KvView } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import { type Logins, loginOf } from './logins';
import type { Sessions } from './sessions';

/** The broker's own service (ADR of nats-server 2.10: `$SYS.REQ.SERVER.<id>.KICK`), imported from SYS into CORE. */
const kickSubject = (server: string) => `$SYS.REQ.SERVER.${server}.KICK`;
const kickWaitMs = 2_000;

/** The end of a session, in this order: workers refuse it, the ledger says so, the broker cuts its connection. */
export class Revocation {
  constructor(
    private readonly connection: NatsConnection,
    private readonly sessions: Pick<Sessions, 'revoke' | 'live'>,
    private readonly logins: Pick<Logins, 'revoke' | 'end'>,
    private readonly trail: Pick<AuditTrail, 'append'>,
    private readonly logger: LoggerService,
  ) {}

  /**
   * The session and everything else that came from the same authentication. First the chain, so that nothing new comes from it. A session that
   * another replica is admitting at this moment ends when that replica sees both records (`follow`).
   */
  async revokeLogin(session: SessionView, by: string, reason: string): Promise<void> {
    await this.logins.revoke(session, by, reason);
    const others = this.sessions.live().filter(({ chain, session: id }) => chain === session.chain && id !== session.session);
    for (const each of [session, ...others]) await this.revoke(each, by, reason);
  }

  /** Once however often it is asked. `by` is a principal id, or `policy` for the service itself. */
  async revoke(session: SessionView, by: string, reason: string): Promise<void> {
    const outcome = session.state === 'revoked' ? 'already revoked' : await this.sessions.revoke(session);
    if (outcome === 'revoked') {
      const { principal, method, mfa, ip, chain, authTime } = session;
      await this.trail.append({
        kind: 'session',
        event: 'revoked',
        session: session.session,
        principal,
        method,
        mfa,
        ip,
        chain,
        authTime,
        by,
        detail: reason,
      });
    }
    await this.cut(session);
  }

  /** Ends what lives though its login does not, now and from now on: whichever of the two records came last, and after a crash between them. */
  follow(view: Pick<KvView<SessionsView>, 'onChange'>): void {
    view.onChange((record) => this.endOf(record.kind === 'session' ? [record] : this.sessions.live()));
    this.endOf(this.sessions.live());
  }

  private endOf(sessions: SessionView[]): void {
    for (const session of sessions) {
      const end = session.state === 'active' ? this.logins.end(loginOf(session)) : undefined;
      if (end) void this.revoke(session, end.by, end.reason).catch((error) => this.logger.error(`revocation: ${String(error)}`));
    }
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
