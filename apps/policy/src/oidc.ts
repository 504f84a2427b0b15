import { createHash } from 'node:crypto';
import { limits } from '@claviger/contracts';
import type { Login } from '@claviger/installation';
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { OidcIssuer } from './config';
import { multiFactor, type Proof } from './proof';
import { Refused } from './refusal';

const fetchTimeoutMs = 2_000;
/** An unknown `kid` asks the issuer again at most this often. */
const cooldownMs = 30_000;
const refreshEveryMs = 300_000;

/**
 * JWTs of configured OIDC issuers (RFC 7519, OpenID Connect Core §3.1.3.7). Keys are fetched when first needed and refreshed in the background:
 * an issuer that is away neither lets anybody in without a key nor locks out those whose key is cached.
 */
export class OidcIssuers {
  private readonly issuers: ReadonlyMap<string, OidcIssuer & { keys: ReturnType<typeof createRemoteJWKSet> }>;
  private readonly timer: NodeJS.Timeout;

  constructor(
    configured: readonly OidcIssuer[],
    private readonly onUnreachable: (issuer: string, error: unknown) => void,
  ) {
    const options = { timeoutDuration: fetchTimeoutMs, cooldownDuration: cooldownMs, cacheMaxAge: Number.POSITIVE_INFINITY };
    this.issuers = new Map(configured.map((i) => [i.issuer, { ...i, keys: createRemoteJWKSet(new URL(i.jwksUri), options) }]));
    this.timer = setInterval(() => void this.refresh(), refreshEveryMs);
    this.timer.unref();
  }

  knows(issuer: unknown): boolean {
    return typeof issuer === 'string' && this.issuers.has(issuer);
  }

  /** A key that the issuer has withdrawn is forgotten here; a fetch that fails forgets nothing. */
  async refresh(): Promise<void> {
    await Promise.all(
      [...this.issuers.values()]
        .filter(({ keys }) => keys.jwks() !== undefined)
        .map(({ issuer, keys }) => keys.reload().catch((error) => this.onUnreachable(issuer, error))),
    );
  }

  /** `issuer` is the token's own claim, not proven yet: it only chooses whose keys and rules apply. Throws Refused. */
  async prove(token: string, issuer: string, nowMs: number): Promise<Proof> {
    const rules = this.issuers.get(issuer);
    if (!rules) throw new Refused('token-type');
    const claims = await this.verified(token, rules, nowMs);
    const { sub, exp, amr } = claims;
    if (typeof sub !== 'string' || exp === undefined) throw new Refused('token-claims');
    const login = oidcLogin(token, { ...claims, iss: issuer, sub });
    if (login.authTimeMs > nowMs + limits.clockSkewSeconds * 1_000) throw new Refused('token-claims');
    return { method: 'oidc', identity: { kind: 'oidc', issuer, subject: sub }, mfa: multiFactor(amr), login, expiresAtMs: exp * 1_000 };
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private async verified(token: string, rules: OidcIssuer & { keys: JWTVerifyGetKey }, nowMs: number): Promise<JWTPayload> {
    const keys: JWTVerifyGetKey = async (header, input) => {
      try {
        return await rules.keys(header, input);
      } catch (error) {
        if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
          throw new Refused('token-signature', undefined, { cause: error });
        this.onUnreachable(rules.issuer, error);
        throw new Refused('issuer-unreachable', undefined, { cause: error });
      }
    };
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer: rules.issuer,
        audience: rules.audience,
        algorithms: rules.algorithms,
        requiredClaims: ['sub', 'iat', 'exp'],
        currentDate: new Date(nowMs),
      });
      if ((payload.iat as number) * 1_000 > nowMs + limits.clockSkewSeconds * 1_000) throw new Refused('token-lifetime');
      return payload;
    } catch (error) {
      throw refusalOf(error);
    }
  }
}

function refusalOf(cause: unknown): Refused {
  if (cause instanceof Refused) return cause;
  if (cause instanceof errors.JWTExpired) return new Refused('token-expired', undefined, { cause });
  if (cause instanceof errors.JWTClaimValidationFailed) return new Refused('token-claims', undefined, { cause });
  if (cause instanceof errors.JOSEAlgNotAllowed || cause instanceof errors.JWSSignatureVerificationFailed)
    return new Refused('token-signature', undefined, { cause });
  return new Refused('token-malformed', undefined, { cause });
}

/**
 * The authentication behind a verified token. An issuer that says when (`auth_time`) and in which session of its own (`sid`, OpenID Connect
 * Front-Channel Logout §3) is believed, so that a token that follows by a refresh is revoked with the first. Otherwise the token is an authentication of its own, known
 * by the digest of what is signed: another signature over the same text is no other token.
 */
export function oidcLogin(token: string, { iss, sub, iat, auth_time, sid }: JWTPayload & { iss: string; sub: string }): Login {
  const said = typeof auth_time === 'number' && Number.isFinite(auth_time);
  const name = said && typeof sid === 'string' ? ['sid', sid] : ['token', token.slice(0, token.lastIndexOf('.'))];
  const chain = createHash('sha256')
    .update(JSON.stringify([iss, sub, ...name]))
    .digest('base64url');
  return { chain, authTimeMs: Math.floor(said ? auth_time : (iat as number)) * 1_000 };
}
