import type { KeyObject } from 'node:crypto';
import { ChainId, limits, PrincipalId } from '@claviger/contracts';
import { type TokenClaims, tokenType } from '@claviger/installation';
import { RecordSignatureError, verifyRecord } from '@claviger/messaging';
import { z } from 'zod';
import { acrPattern, multiFactor, type Proof } from './proof';
import { Refused } from './refusal';

const issuer = 'claviger' satisfies TokenClaims['iss'];

/** Seconds since 1970-01-01 UTC (RFC 7519 §2, NumericDate). */
const Claims = z.strictObject({
  iss: z.literal(issuer),
  sub: PrincipalId,
  iat: z.int().min(0),
  exp: z.int().min(0),
  jti: z.string().min(16).max(64),
  amr: z.array(z.string().max(32)).max(8),
  acr: z.string().regex(acrPattern).optional(),
  auth_time: z.int().min(0),
  chain: ChainId,
});

/** Throws Refused. */
export function proveToken(token: string, trusted: ReadonlyMap<string, KeyObject>, nowMs: number): Proof {
  const claims = Claims.safeParse(payload(token, trusted));
  if (!claims.success) throw new Refused('token-claims');
  const { sub, iat, exp, amr, acr, auth_time, chain } = claims.data;
  if (exp * 1_000 <= nowMs) throw new Refused('token-expired', sub);
  if (iat * 1_000 > nowMs + limits.clockSkewSeconds * 1_000 || exp - iat > limits.tokenLifetimeSecondsMax || auth_time > iat)
    throw new Refused('token-lifetime', sub);
  return {
    method: 'token',
    identity: { kind: 'token', principal: sub },
    mfa: multiFactor(amr),
    ...(acr === undefined ? {} : { acr }),
    login: { chain, authTimeMs: auth_time * 1_000 },
    expiresAtMs: exp * 1_000,
  };
}

function payload(token: string, trusted: ReadonlyMap<string, KeyObject>): unknown {
  try {
    return verifyRecord(tokenType, token, trusted);
  } catch (cause) {
    // Anything else is a payload that no control key would sign: not JSON.
    throw new Refused(cause instanceof RecordSignatureError ? 'token-signature' : 'token-malformed', undefined, { cause });
  }
}
