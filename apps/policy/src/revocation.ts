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

/** So long an answer is on its way at most. */
const answerMs = 1_000;

/** Who wants it and why; `asker` is the session that asked. */
export interface Order {
  readonly by: string;
  readonly reason: string;
  readonly asker?: string | undefined;
}

/**
 * The end of sessions. Asked for by somebody, the ledger says who wants it and why before anything is done, since a session is no document with an
 * outbox. Then, in this order: workers refuse the session, the ledger says so, the broker cuts its connection.
 */
export class Revocation {
  constructor(
    private readonly connection: NatsConnection,
    private readonly sessions: Pick<Sessions, 'revoke' | 'live'>,
    private readonly logins: Pick<Logins, 'revoke' | 'revokePrincipal' | 'end'>,
    private readonly trail: Pick<AuditTrail, 'append'>,
    private readonly logger: LoggerService,
  ) {}

  /**
   * The session and everything else that came from the same authentication. First the chain, so that nothing new comes from it, and with it the session that was
   * named: workers refuse that one a write sooner, and nobody is cut before the chain is. A session that
   * another replica is admitting at this moment ends when that replica sees both records (`follow`). Once however often it is asked.
   */
  async revokeLogin(session: SessionView, { by, reason, asker }: Order): Promise<void> {
    const revoked = this.logins.end(loginOf(session), session.principal)?.why === 'login-revoked';
    if (!revoked || session.state !== 'revoked') await this.record('revoking', session, by, reason);
    const [chain, ended] = await Promise.allSettled([this.logins.revoke(session, by, reason), this.tombstone(session)]);
    const order = { by, reason, asker };
    // Of a chain that could not be ended others may come, and whoever asked hears that; the session that was named has ended all the same.
    const others =
      chain.status === 'rejected'
        ? []
        : this.sessions.live().filter((one) => one.chain === session.chain && one.session !== session.session);
    const ends = await Promise.allSettled([this.ended(session, order, ended), ...others.map((each) => this.revoke(each, order))]);
    for (const end of [chain, ...ends]) if (end.status === 'rejected') throw end.reason;
  }

  /** Every session of a principal, and whatever it has authenticated with: in the same order. @returns how many sessions were live */
  async revokePrincipal(principal: string, order: Order): Promise<number> {
    const { by, reason } = order;
    await this.trail.append({ kind: 'session', event: 'revoking', session: 'all', principal, by, detail: reason });
    await this.logins.revokePrincipal(principal, by, reason);
    const live = this.sessions.live().filter((session) => session.principal === principal);
    await this.each(live, async (session) => {
      await this.logins.revoke(session, by, reason);
      await this.revoke(session, order);
    });
    return live.length;
  }

  /** Sessions that came from a token, and what they came from: after a key that signs tokens is compromised. @returns how many there were */
  async revokeTokens(order: Order): Promise<number> {
    const live = this.sessions.live().filter(({ method }) => method === 'token');
    await this.each(live, (session) => this.revokeLogin(session, order));
    return live.length;
  }

  private async each(sessions: readonly SessionView[], end: (session: SessionView) => Promise<void>): Promise<void> {
    for (let at = 0; at < sessions.length; at += together) {
      const ends = await Promise.allSettled(sessions.slice(at, at + together).map(end));
      for (const one of ends) if (one.status === 'rejected') throw one.reason;
    }
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
      const end = session.state === 'active' ? this.logins.end(loginOf(session), session.principal) : undefined;
      // Not cut at once: it may be the session that asked for this, and another replica answers it.
      if (end) void this.endOne(session, end.by, end.reason, (one) => this.cutFor(one, one.session));
    }
  }

  private async revoke(session: SessionView, order: Order): Promise<void> {
    const [ended] = await Promise.allSettled([this.tombstone(session)]);
    await this.ended(session, order, ended);
  }

  /** Whether it ended by this. */
  private async tombstone(session: SessionView): Promise<boolean> {
    return session.state !== 'revoked' && (await this.sessions.revoke(session)) === 'revoked';
  }

  private async ended(session: SessionView, { by, reason, asker }: Order, ended: PromiseSettledResult<boolean>): Promise<void> {
    if (ended.status === 'rejected') throw ended.reason;
    // Also when the record cannot be made: the session has ended.
    const [recorded] = await Promise.allSettled([
      ended.value ? this.record('revoked', session, by, reason) : undefined,
      this.cutFor(session, asker),
    ]);
    if (recorded.status === 'rejected') throw recorded.reason;
  }

  private async endOne(
    session: SessionView,
    by: string,
    reason: string,
    cut: (session: SessionView) => Promise<void> = (one) => this.cut(one),
  ): Promise<void> {
    const later = (what: string) => (error: unknown) => this.logger.error(`session ${session.session}: ${what}: ${String(error)}`);
    const outcome = await this.sessions.revoke(session).catch(later('it was not ended'));
    if (outcome === 'revoked') void this.record('revoked', session, by, reason).catch(later('its end was not recorded in time'));
    await cut(session);
  }

  private record(event: 'revoking' | 'revoked', session: SessionView, by: string, detail: string) {
    const { session: id, principal, method, mfa, ip, chain, authTime } = session;
    return this.trail.append({ kind: 'session', event, session: id, principal, method, mfa, ip, chain, authTime, by, detail });
  }

  /** Whoever ends their own session is refused from then on like everybody, and still hears the answer. */
  private async cutFor(session: SessionView, asker: string | undefined): Promise<void> {
    if (session.session === asker) setTimeout(() => void this.cut(session), answerMs).unref();
    else await this.cut(session);
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
