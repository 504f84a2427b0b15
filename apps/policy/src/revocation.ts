import type { SessionView } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import type { Sessions } from './sessions';

/** The broker's own service (ADR of nats-server 2.10: `$SYS.REQ.SERVER.<id>.KICK`), imported from SYS into CORE. */
const kickSubject = (server: string) => `$SYS.REQ.SERVER.${server}.KICK`;
const kickWaitMs = 2_000;
/** Who ends a session that nobody asked to end. */
const service = 'policy';

/**
 * The end of a session, in this order: the ledger says who wants it and why, workers refuse the session, the ledger says that it is done, the broker
 * cuts its connection. A session is no document with an outbox, so its record comes first.
 */
export class Revocation {
  constructor(
    private readonly connection: NatsConnection,
    private readonly sessions: Pick<Sessions, 'revoke'>,
    private readonly trail: Pick<AuditTrail, 'append'>,
    private readonly logger: LoggerService,
  ) {}

  /** As a principal asked for. Once however often it is asked; nothing is done that could not be recorded. */
  async revoke(session: SessionView, by: string, reason: string): Promise<void> {
    if (session.state !== 'revoked') {
      await this.record('revoking', session, by, reason);
      if ((await this.sessions.revoke(session)) === 'revoked') await this.record('revoked', session, by, reason);
    }
    await this.cut(session);
  }

  /** By this service's own decision: a session that must not live on does not wait for the ledger, which hears of it as soon as it can. */
  async end(session: SessionView, reason: string): Promise<void> {
    const later = (error: unknown) => this.logger.error(`session ${session.session}: its end was not recorded in time: ${String(error)}`);
    const recording = [this.record('revoking', session, service, reason).catch(later)];
    if ((await this.sessions.revoke(session)) === 'revoked') recording.push(this.record('revoked', session, service, reason).catch(later));
    await Promise.all(recording);
    await this.cut(session);
  }

  private record(event: 'revoking' | 'revoked', { session, principal, method, mfa, ip }: SessionView, by: string, detail: string) {
    return this.trail.append({ kind: 'session', event, session, principal, method, mfa, ip, by, detail });
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
