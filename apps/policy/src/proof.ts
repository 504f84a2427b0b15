import { limits } from '@claviger/contracts';
import type { Login } from '@claviger/installation';

/** What a connection has shown, before anybody asks whose it is. */
export interface Proof {
  readonly method: 'token' | 'oidc' | 'certificate';
  readonly identity: ProvenIdentity;
  readonly mfa: boolean;
  /** The class of the authentication, as an identity provider said it. */
  readonly acr?: string;
  /** Digest of a token that admits once, and until when it could. */
  readonly once?: { readonly digest: string; readonly untilMs: number };
  /** The authentication behind it. */
  readonly login: Login;
  /** Milliseconds since 1970-01-01 UTC: the proof is worth nothing from then on. */
  readonly expiresAtMs: number;
}

export type ProvenIdentity =
  | { readonly kind: 'token'; readonly principal: string }
  | { readonly kind: 'oidc'; readonly issuer: string; readonly subject: string; readonly claims: Claims }
  | { readonly kind: 'spiffe'; readonly spiffeId: string }
  | { readonly kind: 'certificate'; readonly spiffeId?: string; readonly fingerprint256: string };

/** What a verified JWT says. */
export type Claims = Readonly<Record<string, unknown>>;

/** What is taken as a class of an authentication (`acr`). */
export const acrPattern = /^[^\p{Cc}]{1,256}$/u;

/** RFC 8176 §2: the issuer saw more than one factor. */
export const multiFactor = (amr: unknown): boolean => Array.isArray(amr) && amr.includes('mfa');

/** The same by what an issuer is configured to say it with: `amr`, `acr` (OpenID Connect Core §2) or the list `acrs` of Entra ID. */
export const secondFactor = ({ amr, acr, acrs }: Claims, counts: { amr: readonly string[]; acr: readonly string[] }): boolean => {
  const any = (said: unknown, values: readonly string[]) => Array.isArray(said) && said.some((value) => values.includes(value));
  return any(amr, counts.amr) || any([acr], counts.acr) || any(acrs, counts.acr);
};

/** No session outlives its proof, nor the longest token. */
export const sessionEnd = (proof: Proof, nowMs: number): number =>
  Math.min(proof.expiresAtMs, nowMs + limits.tokenLifetimeSecondsMax * 1_000);
