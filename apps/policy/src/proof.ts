import { limits } from '@claviger/contracts';
import type { Login } from '@claviger/installation';

/** What a connection has shown, before anybody asks whose it is. */
export interface Proof {
  readonly method: 'token' | 'oidc' | 'certificate';
  readonly identity: ProvenIdentity;
  readonly mfa: boolean;
  /** The authentication behind it. */
  readonly login: Login;
  /** Milliseconds since 1970-01-01 UTC: the proof is worth nothing from then on. */
  readonly expiresAtMs: number;
}

export type ProvenIdentity =
  | { readonly kind: 'token'; readonly principal: string }
  | { readonly kind: 'oidc'; readonly issuer: string; readonly subject: string }
  | { readonly kind: 'certificate'; readonly spiffeId?: string; readonly fingerprint256: string };

/** RFC 8176 §2: the issuer saw more than one factor. */
export const multiFactor = (amr: unknown): boolean => Array.isArray(amr) && amr.includes('mfa');

/** No session outlives its proof, nor the longest token. */
export const sessionEnd = (proof: Proof, nowMs: number): number =>
  Math.min(proof.expiresAtMs, nowMs + limits.tokenLifetimeSecondsMax * 1_000);
