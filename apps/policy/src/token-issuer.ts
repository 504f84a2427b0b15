import { ProblemError, type SessionView } from '@claviger/contracts';
import { issueToken, type Login } from '@claviger/installation';
import type { RecordSigner } from '@claviger/messaging';
import { type Logins, loginOf } from './logins';

/** What is left of a login must be worth a token. */
const shortestMs = 10_000;

/** Short-lived tokens, signed in the control token. */
export class TokenIssuer {
  constructor(
    private readonly signer: RecordSigner,
    private readonly logins: Pick<Logins, 'end' | 'lastDayMs'>,
  ) {}

  /** For the holder of this session, from the same authentication. Throws ProblemError when that counts no more. */
  renew(session: SessionView, lifetimeSeconds: number) {
    const login = loginOf(session);
    const end = this.logins.end(login);
    if (end?.why === 'login-revoked') throw new ProblemError('ERR_SESSION_REVOKED', 'What you authenticated with was revoked.');
    if (end?.why === 'login-forgotten') throw new ProblemError('ERR_AUTHENTICATION', `${end.reason}: authenticate anew.`);
    if (end || this.logins.lastDayMs(login) - Date.now() < shortestMs)
      throw new ProblemError('ERR_AUTHENTICATION', `You authenticated at ${session.authTime}, too long ago to renew: authenticate anew.`);
    return this.issue(session.principal, { mfa: session.mfa, lifetimeSeconds, login });
  }

  /** The first token of a login of its own, for a principal that somebody else vouches for. Nobody's factors say anything about somebody else. */
  vouch(principal: string, lifetimeSeconds: number) {
    return this.issue(principal, { mfa: false, lifetimeSeconds });
  }

  private issue(principal: string, { mfa, lifetimeSeconds, login }: { mfa: boolean; lifetimeSeconds: number; login?: Login }) {
    const amr = mfa ? ['mfa'] : [];
    const more = login ? { login, endMs: this.logins.lastDayMs(login) } : {};
    const { token, claims } = issueToken(this.signer, { principal, amr, lifetimeSeconds, ...more });
    return { token, tokenId: claims.jti, expiresAt: new Date(claims.exp * 1_000).toISOString() };
  }
}
