import { randomUUID } from 'node:crypto';
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
}

/** A short-lived token for a principal, signed with a control key. */
export function issueToken(
  signer: RecordSigner,
  request: { principal: string; amr: string[]; lifetimeSeconds: number; nowMs?: number },
): { token: string; claims: TokenClaims } {
  const iat = Math.floor((request.nowMs ?? Date.now()) / 1_000);
  const exp = iat + Math.min(request.lifetimeSeconds, limits.tokenLifetimeSecondsMax);
  const claims: TokenClaims = { iss: 'claviger', sub: request.principal, iat, exp, jti: randomUUID(), amr: request.amr };
  return { token: signRecord(tokenType, claims, signer), claims };
}
