import { horizonId, limits, revokedChainId, revokedPrincipalId, type SessionsView, type SessionView } from '@claviger/contracts';
import type { Login } from '@claviger/installation';
import type { KvOwner, KvView } from '@claviger/messaging';
import { bucketLingerSeconds } from './sessions';

/** Why an authentication counts no more, by whom and for which reason, as the records of its sessions say. */
export interface LoginEnd {
  readonly why: 'login-too-old' | 'login-revoked' | 'login-forgotten';
  readonly by: string;
  readonly reason: string;
}

const oneTokenMs = limits.tokenLifetimeSecondsMax * 1_000;
const skewMs = limits.clockSkewSeconds * 1_000;

export const loginOf = ({ chain, authTime }: SessionView): Login => ({ chain, authTimeMs: Date.parse(authTime) });

/**
 * Which authentications still count. Everything that came from one (sessions, renewed tokens) carries its chain and time, so that revoking it is
 * one signed record in the sessions bucket, and its last day is the same everywhere.
 */
export class Logins {
  constructor(
    private readonly owner: Pick<KvOwner<SessionsView>, 'put'>,
    private readonly view: Pick<KvView<SessionsView>, 'get'>,
    private readonly maxAgeMs: number,
    private readonly nowMs: () => number = Date.now,
  ) {}

  /** Nothing that came from this authentication lives longer (milliseconds since 1970-01-01 UTC). */
  lastDayMs({ authTimeMs }: Pick<Login, 'authTimeMs'>): number {
    return authTimeMs + this.maxAgeMs;
  }

  /** Undefined while it counts. Read at once from the copy in this process. */
  end(login: Login, principal: string): LoginEnd | undefined {
    const revoked = this.view.get(revokedChainId(login.chain));
    if (revoked?.kind === 'revoked-chain') return { why: 'login-revoked', by: revoked.by, reason: revoked.reason };
    const barred = this.view.get(revokedPrincipalId(principal));
    if (barred?.kind === 'revoked-principal' && login.authTimeMs <= Date.parse(barred.authTime))
      return { why: 'login-revoked', by: barred.by, reason: barred.reason };
    const horizon = this.view.get(horizonId);
    if (horizon?.kind === 'horizon' && login.authTimeMs <= Date.parse(horizon.authTime))
      return { why: 'login-forgotten', by: 'policy', reason: `authentications up to ${horizon.authTime} count no more` };
    if (this.lastDayMs(login) <= this.nowMs()) return { why: 'login-too-old', by: 'policy', reason: 'the authentication is too old' };
    return undefined;
  }

  /** Durable when this resolves; once however often it is asked. The first one's `by` and `reason` stay. */
  async revoke(session: SessionView, by: string, reason: string): Promise<void> {
    const { chain, principal } = session;
    const nowMs = this.nowMs();
    // A token that was issued just before this ends one lifetime later, whatever the longest age was when it was issued.
    const endMs = Math.max(this.lastDayMs(loginOf(session)), nowMs + oneTokenMs) + skewMs;
    const [revokedAt, expiresAt] = [nowMs, endMs].map((ms) => new Date(ms).toISOString()) as [string, string];
    const id = revokedChainId(chain);
    const record: SessionsView = { kind: 'revoked-chain', id, revision: 1, chain, principal, by, reason, revokedAt, expiresAt };
    await this.owner.put(record, (endMs - nowMs) / 1_000 + bucketLingerSeconds);
  }

  /** Whatever this principal has authenticated with up to now, by any clock that is taken, known here or not. Durable when this resolves; each time moves it on. */
  async revokePrincipal(principal: string, by: string, reason: string): Promise<void> {
    await this.upToNow((times) => ({ kind: 'revoked-principal', id: revokedPrincipalId(principal), principal, by, reason, ...times }));
  }

  /** After a bucket that may have lost revocations: nobody can say which, so nothing that was authenticated up to now, by any clock that is taken, counts. */
  async forget(): Promise<void> {
    await this.upToNow((times) => ({ kind: 'horizon', id: horizonId, ...times }));
  }

  private async upToNow(recordOf: (times: { revision: number; authTime: string; expiresAt: string }) => SessionsView): Promise<void> {
    const nowMs = this.nowMs();
    // An issuer whose clock is ahead has said so late a time.
    const latestMs = nowMs + skewMs;
    const endMs = latestMs + Math.max(this.maxAgeMs, oneTokenMs);
    const times = { authTime: new Date(latestMs).toISOString(), expiresAt: new Date(endMs).toISOString() };
    let revision = this.view.get(recordOf({ ...times, revision: 1 }).id)?.revision ?? 0;
    let outcome: string;
    do outcome = await this.owner.put(recordOf({ ...times, revision: ++revision }), (endMs - nowMs) / 1_000 + bucketLingerSeconds);
    while (outcome === 'already there');
  }
}
