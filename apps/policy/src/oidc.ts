import { createHash } from 'node:crypto';
import { limits } from '@claviger/contracts';
import type { Login } from '@claviger/installation';
import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { IssuerKeys, KeysUnavailable } from './issuer-keys';
import { fetchKeys } from './jwks-fetch';
import { nameOf, type OidcIssuer } from './oidc-config';
import { acrPattern, type Proof, type ProvenIdentity, secondFactor } from './proof';
import { Refused } from './refusal';
import { spiffeIdIn } from './spiffe-id';

const refreshEveryMs = 300_000;
const jtiCharsMax = 256;

/** What a token says of itself, not proven yet: it only chooses whose keys and rules apply. */
export interface Claimed {
  readonly issuer: unknown;
  readonly subject: unknown;
}
interface Rules extends OidcIssuer {
  readonly keys: IssuerKeys;
}

/**
 * JWTs of configured issuers (RFC 7519, OpenID Connect Core §3.1.3.7; JWT-SVIDs of SPIFFE trust domains). Keys are fetched when first needed and refreshed
 * in the background: an issuer that is away neither lets anybody in without a key nor locks out those whose key is cached, and concerns only its own callers.
 */
export class OidcIssuers {
  private readonly byIssuer = new Map<string, Rules>();
  private readonly byTrustDomain = new Map<string, Rules>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    configured: readonly OidcIssuer[],
    private readonly onUnreachable: (issuer: string, error: unknown) => void,
  ) {
    for (const issuer of configured) {
      const rules = { ...issuer, keys: new IssuerKeys(() => fetchKeys(issuer), issuer.keysMaxAgeSeconds * 1_000) };
      if (issuer.issuer !== undefined) this.byIssuer.set(issuer.issuer, rules);
      else if (issuer.trustDomain !== undefined) this.byTrustDomain.set(issuer.trustDomain, rules);
    }
    this.timer = setInterval(() => void this.refresh(), refreshEveryMs);
    this.timer.unref();
  }

  knows(claimed: Claimed): boolean {
    return this.rulesFor(claimed) !== undefined;
  }

  /** A key that the issuer has withdrawn is forgotten here; a fetch that fails forgets nothing. */
  async refresh(): Promise<void> {
    const all = [...this.byIssuer.values(), ...this.byTrustDomain.values()];
    await Promise.all(all.map((rules) => rules.keys.refresh().catch((error) => this.onUnreachable(nameOf(rules), error))));
  }

  /** Throws Refused. */
  async prove(token: string, claimed: Claimed, nowMs: number): Promise<Proof> {
    const rules = this.rulesFor(claimed);
    if (!rules) throw new Refused('token-type');
    const claims = await this.verified(token, rules, nowMs);
    const { sub, exp } = claims;
    if (typeof sub !== 'string' || exp === undefined) throw new Refused('token-claims');
    const login = oidcLogin(token, { ...claims, iss: nameOf(rules), sub });
    if (login.authTimeMs > nowMs + limits.clockSkewSeconds * 1_000) throw new Refused('token-claims');
    const acr = typeof claims.acr === 'string' && acrPattern.test(claims.acr) ? claims.acr : undefined;
    return {
      method: 'oidc',
      identity: identityOf(rules, sub, claims),
      mfa: secondFactor(claims, rules.mfa),
      ...(acr === undefined ? {} : { acr }),
      ...(rules.oneTime ? { once: { digest: onceDigest(rules, claims), untilMs: exp * 1_000 } } : {}),
      login,
      expiresAtMs: exp * 1_000,
    };
  }

  stop(): void {
    clearInterval(this.timer);
  }

  private rulesFor({ issuer, subject }: Claimed): Rules | undefined {
    if (typeof issuer === 'string') {
      const known = this.byIssuer.get(issuer);
      if (known) return known;
    }
    const trustDomain = typeof subject === 'string' ? spiffeIdIn(subject)?.trustDomain : undefined;
    return trustDomain === undefined ? undefined : this.byTrustDomain.get(trustDomain);
  }

  private async verified(token: string, rules: Rules, nowMs: number): Promise<JWTPayload> {
    const keys: JWTVerifyGetKey = async (header, input) => {
      try {
        return await rules.keys.find(header, input);
      } catch (error) {
        if (!(error instanceof KeysUnavailable)) throw new Refused('token-signature', undefined, { cause: error });
        this.onUnreachable(nameOf(rules), error.cause);
        throw new Refused('issuer-unreachable', undefined, { cause: error });
      }
    };
    try {
      const { payload } = await jwtVerify(token, keys, {
        ...(rules.issuer === undefined ? {} : { issuer: rules.issuer }),
        audience: rules.audience,
        algorithms: rules.algorithms,
        requiredClaims: ['sub', 'iat', 'exp'],
        currentDate: new Date(nowMs),
        // For `nbf`, of an issuer whose clock is ahead. What is expired by our own clock opens no session (admission.ts).
        clockTolerance: limits.clockSkewSeconds,
        ...(rules.tokenMaxAgeSeconds === undefined ? {} : { maxTokenAge: rules.tokenMaxAgeSeconds }),
      });
      if ((payload.iat as number) * 1_000 > nowMs + limits.clockSkewSeconds * 1_000) throw new Refused('token-lifetime');
      return payload;
    } catch (error) {
      throw refusalOf(error);
    }
  }
}

/** Of a trust domain the subject is one of its own SPIFFE ids, and nothing else. */
function identityOf({ issuer, trustDomain }: OidcIssuer, subject: string, claims: JWTPayload): ProvenIdentity {
  if (trustDomain === undefined) return { kind: 'oidc', issuer: issuer as string, subject, claims };
  const spiffe = spiffeIdIn(subject);
  if (spiffe?.trustDomain !== trustDomain) throw new Refused('trust-domain');
  return { kind: 'spiffe', spiffeId: spiffe.id };
}

function onceDigest(rules: OidcIssuer, { jti }: JWTPayload): string {
  if (typeof jti !== 'string' || jti === '' || jti.length > jtiCharsMax) throw new Refused('token-claims');
  return createHash('sha256')
    .update(JSON.stringify([nameOf(rules), jti]))
    .digest('base64url');
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
