import { randomUUID } from 'node:crypto';
import { ProblemError, type SessionView } from '@claviger/contracts';
import { issueToken, type Login } from '@claviger/installation';
import { type RecordSigner, signRecord } from '@claviger/messaging';
import { type Logins, loginOf } from './logins';

/** What is left of a login must be worth a token. */
const shortestMs = 10_000;

/** Short-lived tokens, signed in the control token. */
export class TokenIssuer {
  constructor(
    private readonly signer: () => RecordSigner,
    private readonly logins: Pick<Logins, 'end' | 'lastDayMs'>,
  ) {}

  /** For the holder of this session, from the same authentication. Throws ProblemError when that counts no more. */
  renew(session: SessionView, lifetimeSeconds: number) {
    const login = this.assertCounts(session);
    return this.issue(session.principal, { mfa: session.mfa, acr: session.acr, lifetimeSeconds, login });
  }

  private assertCounts(session: SessionView): Login {
    const login = loginOf(session);
    const end = this.logins.end(login, session.principal);
    if (end?.why === 'login-revoked') throw new ProblemError('ERR_SESSION_REVOKED', 'What you authenticated with was revoked.');
    if (end?.why === 'login-forgotten') throw new ProblemError('ERR_AUTHENTICATION', `${end.reason}: authenticate anew.`);
    if (end || this.logins.lastDayMs(login) - Date.now() < shortestMs)
      throw new ProblemError('ERR_AUTHENTICATION', `You authenticated at ${session.authTime}, too long ago to renew: authenticate anew.`);
    return login;
  }

  /**
   * Says to somebody else who the holder of this session is: a JWT (RFC 7519) with `aud`, which Claviger itself takes from nobody, so that whoever is
   * shown it cannot come in with it.
   */
  identify(session: SessionView, audience: string, lifetimeSeconds: number) {
    this.assertCounts(session);
    const iat = Math.floor(Date.now() / 1_000);
    const exp = Math.min(iat + lifetimeSeconds, Math.floor(this.logins.lastDayMs(loginOf(session)) / 1_000));
    const jti = randomUUID();
    const claims = {
      iss: 'claviger',
      sub: session.principal,
      aud: audience,
      iat,
      exp,
      jti,
      amr: session.mfa ? ['mfa'] : [],
      ...(session.acr === undefined ? {} : { acr: session.acr }),
      auth_time: Math.floor(Date.parse(session.authTime) / 1_000),
    };
    return { token: signRecord('JWT', claims, this.signer()), tokenId: jti, expiresAt: new Date(exp * 1_000).toISOString() };
  }

  /** The first token of a login of its own, for a principal that somebody else vouches for. Nobody's factors say anything about somebody else. */
  vouch(principal: string, lifetimeSeconds: number) {
    return this.issue(principal, { mfa: false, lifetimeSeconds });
  }

  private issue(
    principal: string,
    { mfa, acr, lifetimeSeconds, login }: { mfa: boolean; acr?: string | undefined; lifetimeSeconds: number; login?: Login },
  ) {
    const amr = mfa ? ['mfa'] : [];
    const more = login ? { login, endMs: this.logins.lastDayMs(login) } : {};
    const { token, claims } = issueToken(this.signer(), { principal, amr, acr, lifetimeSeconds, ...more });
    return { token, tokenId: claims.jti, expiresAt: new Date(claims.exp * 1_000).toISOString() };
  }
}
