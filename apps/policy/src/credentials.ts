import type { KeyObject } from 'node:crypto';
import { tokenType } from '@claviger/installation';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import type { ConnectionRequest } from './callout-wire';
import { proveCertificate } from './certificate';
import { proveToken } from './claviger-token';
import type { OidcIssuers } from './oidc';
import type { Proof } from './proof';
import { Refused } from './refusal';

const tokenCharsMax = 16_384;

/** Which kind of proof a connection brings: a token when there is one, else its verified certificate. */
export class Credentials {
  constructor(
    private readonly trusted: ReadonlyMap<string, KeyObject>,
    private readonly oidc: Pick<OidcIssuers, 'knows' | 'prove'>,
  ) {}

  /** Throws Refused. */
  async prove({ connect_opts: given, client_tls: tls }: ConnectionRequest, nowMs: number): Promise<Proof> {
    // These were meant for the broker itself, which knows no such user; falling back to the certificate would hide that.
    if (given.jwt || given.nkey || given.user || given.pass) throw new Refused('credentials-unsupported');
    if (given.auth_token) return this.proveBearer(given.auth_token, nowMs);
    const leaf = tls?.verified_chains?.[0]?.[0];
    if (!leaf) throw new Refused('no-credentials');
    return proveCertificate(leaf, nowMs);
  }

  private proveBearer(token: string, nowMs: number): Promise<Proof> | Proof {
    const { type, issuer } = kindOf(token);
    if (type === tokenType) return proveToken(token, this.trusted, nowMs);
    if (typeof issuer === 'string' && this.oidc.knows(issuer)) return this.oidc.prove(token, issuer, nowMs);
    throw new Refused('token-type');
  }
}

/** Unverified: it only chooses which rules the token must pass. */
function kindOf(token: string): { type: unknown; issuer: unknown } {
  if (token.length > tokenCharsMax) throw new Refused('token-malformed');
  try {
    return { type: decodeProtectedHeader(token).typ, issuer: decodeJwt(token).iss };
  } catch (cause) {
    throw new Refused('token-malformed', undefined, { cause });
  }
}
