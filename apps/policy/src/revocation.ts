import type { SessionsView, SessionView } from '@claviger/contracts';
import type { AuditTrail, KvView } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import { type Logins, loginOf } from './logins';
import type { Sessions } from './sessions';

/** The broker's own service (ADR of nats-server 2.10: `$SYS.REQ.SERVER.<id>.KICK`), imported from SYS into CORE. */
const kickSubject = (server: string) => `$SYS.REQ.SERVER.${server}.KICK`;
const kickWaitMs = 2_000;
/** Who ends a session that nobody asked to end. */
const service = 'policy';
/** Sessions that are ended at once, when a bundle ends many. */
const together = 20;

/**
 * The end of sessions. Asked for by somebody, the ledger says who wants it and why before anything is done, since a session is no document with an
 * outbox. Then, in this order: workers refuse the session, the ledger says so, the broker cuts its connection.
 */
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
   * another replica is admitting at this moment ends when that replica sees both records (`follow`). Once however often it is asked.
   */
  async revokeLogin(session: SessionView, by: string, reason: string): Promise<void> {
    const revoked = this.logins.end(loginOf(session))?.why === 'login-revoked';
    if (!revoked || session.state !== 'revoked') await this.record('revoking', session, by, reason);
    await this.logins.revoke(session, by, reason);
    const others = this.sessions.live().filter(({ chain, session: id }) => chain === session.chain && id !== session.session);
    const ends = await Promise.allSettled([session, ...others].map((each) => this.revoke(each, by, reason)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** By this service's own decision: what must not live on does not wait for the ledger, which hears of it as soon as it can. */
  async end(sessions: readonly SessionView[], reason: string, by = service): Promise<void> {
    for (let at = 0; at < sessions.length; at += together)
      await Promise.all(sessions.slice(at, at + together).map((session) => this.endOne(session, by, reason)));
  }

  /** Ends what lives though its login does not, now and from now on: whichever of the two records came last, and after a crash between them. */
  follow(view: Pick<KvView<SessionsView>, 'onChange'>): void {
    view.onChange((record) => this.endWithLogin(record.kind === 'session' ? [record] : this.sessions.live()));
    this.endWithLogin(this.sessions.live());
  }

  private endWithLogin(sessions: SessionView[]): void {
    for (const session of sessions) {
      const end = session.state === 'active' ? this.logins.end(loginOf(session)) : undefined;
      if (end) void this.end([session], end.reason, end.by);
    }
  }

  private async revoke(session: SessionView, by: string, reason: string): Promise<void> {
    const revoked = session.state !== 'revoked' && (await this.sessions.revoke(session)) === 'revoked';
    // Also when the record cannot be made: the session has ended.
    const [recorded] = await Promise.allSettled([revoked ? this.record('revoked', session, by, reason) : undefined, this.cut(session)]);
    if (recorded.status === 'rejected') throw recorded.reason;
  }

  private async endOne(session: SessionView, by: string, reason: string): Promise<void> {
    const later = (what: string) => (error: unknown) => this.logger.error(`session ${session.session}: ${what}: ${String(error)}`);
    const outcome = await this.sessions.revoke(session).catch(later('it was not ended'));
    if (outcome === 'revoked') void this.record('revoked', session, by, reason).catch(later('its end was not recorded in time'));
    await this.cut(session);
  }

  private record(event: 'revoking' | 'revoked', session: SessionView, by: string, detail: string) {
    const { session: id, principal, method, mfa, ip, chain, authTime } = session;
    return this.trail.append({ kind: 'session', event, session: id, principal, method, mfa, ip, chain, authTime, by, detail });
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
