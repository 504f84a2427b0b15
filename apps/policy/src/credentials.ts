import type { KeyObject } from 'node:crypto';
import { tokenType } from '@claviger/installation';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import type { ConnectionRequest } from './callout-wire';
import { proveCertificate } from './certificate';
import { proveToken } from './claviger-token';
import type { OidcIssuers } from './oidc';
import type { Proof } from './proof';
import { Refused } from './refusal';
import type { TrustDomains } from './trust-domains';

const tokenCharsMax = 16_384;

/** Which kind of proof a connection brings: a token when there is one, else its verified certificate. */
export class Credentials {
  constructor(
    private readonly trusted: () => ReadonlyMap<string, KeyObject>,
    private readonly oidc: Pick<OidcIssuers, 'knows' | 'prove'>,
    /** Undefined: whoever the broker trusts vouches for every trust domain. */
    private readonly trustDomains: Pick<TrustDomains, 'anchors'> | undefined,
  ) {}

  /** Throws Refused. */
  async prove({ connect_opts: given, client_tls: tls }: ConnectionRequest, nowMs: number): Promise<Proof> {
    // These were meant for the broker itself, which knows no such user; falling back to the certificate would hide that.
    if (given.jwt || given.nkey || given.user || given.pass) throw new Refused('credentials-unsupported');
    if (given.auth_token) return this.proveBearer(given.auth_token, nowMs);
    const chains = tls?.verified_chains ?? [];
    if (!chains[0]?.[0]) throw new Refused('no-credentials');
    return proveCertificate(chains, this.trustDomains, nowMs);
  }

  private proveBearer(token: string, nowMs: number): Promise<Proof> | Proof {
    const { type, ...claimed } = kindOf(token);
    if (type === tokenType) return proveToken(token, this.trusted(), nowMs);
    if (this.oidc.knows(claimed)) return this.oidc.prove(token, claimed, nowMs);
    throw new Refused('token-type');
  }
}

/** Unverified: it only chooses which rules the token must pass. */
function kindOf(token: string): { type: unknown; issuer: unknown; subject: unknown } {
  if (token.length > tokenCharsMax) throw new Refused('token-malformed');
  try {
    const { iss, sub } = decodeJwt(token);
    return { type: decodeProtectedHeader(token).typ, issuer: iss, subject: sub };
  } catch (cause) {
    throw new Refused('token-malformed', undefined, { cause });
  }
}
