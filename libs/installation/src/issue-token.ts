import { randomBytes, randomUUID } from 'node:crypto';
import { limits } from '@claviger/contracts';
import { type RecordSigner, signRecord } from '@claviger/messaging';

/** JWS `typ` of Claviger's own tokens. */
export const tokenType = 'claviger-token+jwt';

/** Claims of a Claviger token (RFC 7519); `amr` as in RFC 8176 (`mfa` when more than one factor was used). */
export interface TokenClaims {
  iss: 'claviger';
  sub: string;
  iat: number;
  exp: number;
  jti: string;
  amr: string[];
  /** The class of the authentication (OpenID Connect Core §2), where an identity provider said it: what renews inherits it too. */
  acr?: string;
  /** When its holder authenticated (seconds; OpenID Connect Core §2): what renews inherits it. */
  auth_time: number;
  /** Of everything that came from that authentication; 256 bits, base64url. */
  chain: string;
}

/** An authentication, to which every session and token that came from it belongs. */
export interface Login {
  readonly chain: string;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly authTimeMs: number;
}

export const newLogin = (nowMs: number): Login => ({ chain: randomBytes(32).toString('base64url'), authTimeMs: nowMs });

export interface TokenRequest {
  principal: string;
  amr: string[];
  acr?: string | undefined;
  lifetimeSeconds: number;
  nowMs?: number;
  /** The one that is renewed; a new one otherwise. */
  login?: Login;
  /** Milliseconds since 1970-01-01 UTC; the token ends then at the latest. */
  endMs?: number;
}

/** A short-lived token for a principal, signed with a control key. */
export function issueToken(signer: RecordSigner, request: TokenRequest): { token: string; claims: TokenClaims } {
  const { principal: sub, amr, acr, lifetimeSeconds, nowMs = Date.now(), login = newLogin(nowMs) } = request;
  const iat = Math.floor(nowMs / 1_000);
  const exp = Math.min(
    iat + Math.min(lifetimeSeconds, limits.tokenLifetimeSecondsMax),
    Math.floor((request.endMs ?? Number.POSITIVE_INFINITY) / 1_000),
  );
  const auth_time = Math.floor(login.authTimeMs / 1_000);
  const claims: TokenClaims = {
    ...{ iss: 'claviger', sub, iat, exp, jti: randomUUID(), amr },
    ...(acr === undefined ? {} : { acr }),
    ...{ auth_time, chain: login.chain },
  };
  return { token: signRecord(tokenType, claims, signer), claims };
}
