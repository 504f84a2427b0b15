import { issueToken } from '@claviger/installation';
import type { RecordSigner } from '@claviger/messaging';

/** Short-lived tokens, signed in the control token. */
export class TokenIssuer {
  constructor(private readonly signer: RecordSigner) {}

  issue(principal: string, { mfa, lifetimeSeconds }: { mfa: boolean; lifetimeSeconds: number }) {
    const { token, claims } = issueToken(this.signer, { principal, amr: mfa ? ['mfa'] : [], lifetimeSeconds });
    return { token, tokenId: claims.jti, expiresAt: new Date(claims.exp * 1_000).toISOString() };
  }
}
