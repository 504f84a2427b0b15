import { z } from 'zod';
import { Algorithm, KeyUsage } from './algorithms';
import { TokenLabel } from './further-tokens';
import { KeyState } from './key-states';
import {
  Alias,
  b64u,
  ChainId,
  Classification,
  Environment,
  KeyId,
  PrincipalId,
  SessionId,
  Timestamp,
  WrappingKeyState,
} from './primitives';
import { Residency } from './residency';
import { TokenKeyView } from './token-keys';

/**
 * What the KV buckets hold. Each value is a compact JWS (RFC 7515, ES256, signed in the control token); these are the payloads.
 * `id` equals the KV key, `revision` only ever grows: a holder refuses a lower one.
 */
const header = { id: z.string(), revision: z.int().min(1) };

/** Material that left the token wrapped under a KEK; any worker that holds the KEK unwraps it. */
export const WrappedKey = z.strictObject({
  custody: z.literal('wrapped'),
  kekId: z.string(),
  mechanism: z.int(),
  family: z.string(),
  wrapped: z.string(),
});
export type WrappedKey = z.infer<typeof WrappedKey>;

/** Label of a customer key that stays in its token; nothing else there has such a label. */
export const TokenKeyLabel = z.string().regex(/^key-[0-9a-f]{24}$/);
/** Material that never leaves the token, where the token cannot wrap keys of the algorithm: an object of it, by its label. */
export const TokenKey = z.strictObject({ custody: z.literal('token'), family: z.string(), token: z.string(), label: TokenKeyLabel });
export type TokenKey = z.infer<typeof TokenKey>;

/** Where a key's material is; the signature of the whole record binds it to this key id and algorithm. */
export const KeyMaterial = z.discriminatedUnion('custody', [WrappedKey, TokenKey]);
export type KeyMaterial = z.infer<typeof KeyMaterial>;

export const KeyView = z.strictObject({
  kind: z.literal('key'),
  ...header,
  keyId: KeyId,
  name: z.string(),
  algorithm: Algorithm,
  usage: KeyUsage,
  environment: Environment,
  classification: Classification,
  owner: PrincipalId,
  consumers: z.array(PrincipalId),
  /** Who created it: a policy may bar that principal from using it. */
  createdBy: PrincipalId,
  tags: z.record(z.string(), z.string()),
  /** Where it may be used; anywhere when absent. */
  residency: Residency.optional(),
  /** It was made to leave; what does not say so leaves by no worker. */
  exportable: z.literal(true).optional(),
  primaryVersion: z.int().min(1),
  suspended: z.boolean(),
  processingAllowed: z.boolean(),
  deletionAt: Timestamp.optional(),
  versions: z.array(
    z.strictObject({ version: z.int().min(1), state: KeyState, material: KeyMaterial.optional(), publicKeySpki: z.string().optional() }),
  ),
});
export type KeyView = z.infer<typeof KeyView>;

export const KekMaterial = z.strictObject({
  rootLabel: z.string(),
  /** Label of the token that holds the root; the worker's first one when left out. */
  token: TokenLabel.optional(),
  mechanism: z.int(),
  family: z.string(),
  wrapped: z.string(),
});
export type KekMaterial = z.infer<typeof KekMaterial>;

export const KekView = z.strictObject({
  kind: z.literal('kek'),
  ...header,
  kekId: z.string(),
  environment: Environment,
  classification: Classification,
  /** Absent: active. */
  state: WrappingKeyState.optional(),
  /** Wrapped under a root key of the token; gone once destroyed. */
  material: KekMaterial.optional(),
});
export type KekView = z.infer<typeof KekView>;

/** A name of a key. Its id in the bucket is the alias itself. */
export const AliasView = z.strictObject({
  kind: z.literal('alias'),
  ...header,
  alias: Alias,
  /** Absent: deleted. What said so stays, since an unsigned delete is believed by nobody. */
  keyId: KeyId.optional(),
});
export type AliasView = z.infer<typeof AliasView>;

/** What the keys bucket holds. */
export const KeysView = z.discriminatedUnion('kind', [KeyView, KekView, AliasView]);
export type KeysView = z.infer<typeof KeysView>;

export const SessionView = z.strictObject({
  kind: z.literal('session'),
  ...header,
  session: SessionId,
  principal: PrincipalId,
  method: z.enum(['token', 'oidc', 'certificate']),
  mfa: z.boolean(),
  /** The class of the authentication, as the identity provider said it (OpenID Connect Core §2). */
  acr: z.string().optional(),
  /** The authentication that this session comes from, and the chain of all that came from it: sessions and renewed tokens inherit both. */
  authTime: Timestamp,
  chain: ChainId,
  /** Commitment to the client's IP address. */
  ip: z.string(),
  issuedAt: Timestamp,
  expiresAt: Timestamp,
  state: z.enum(['active', 'revoked']),
  /** The broker's address of the connection, to close it on revocation. */
  server: z.string().optional(),
  client: z.int().optional(),
});
export type SessionView = z.infer<typeof SessionView>;

/** KV key of a chain's revocation. */
export const revokedChainId = (chain: string) => `chain.${chain}`;

/** No token of this chain admits or renews any more, and no session of it lives. It stays until the last token of the chain has ended. */
export const RevokedChainView = z.strictObject({
  kind: z.literal('revoked-chain'),
  ...header,
  chain: ChainId,
  principal: PrincipalId,
  by: z.string(),
  reason: z.string(),
  revokedAt: Timestamp,
  expiresAt: Timestamp,
});
export type RevokedChainView = z.infer<typeof RevokedChainView>;

/** KV key of the one horizon. */
export const horizonId = 'horizon';

/** No authentication up to `authTime` counts: the bucket may have lost the revocation of any of them. */
export const HorizonView = z.strictObject({ kind: z.literal('horizon'), ...header, authTime: Timestamp, expiresAt: Timestamp });
export type HorizonView = z.infer<typeof HorizonView>;

/** KV key of the revocation of all that a principal has authenticated with. */
export const revokedPrincipalId = (principal: string) => `principal.${principal}`;

/** No authentication of this principal up to `authTime` counts. It stays until the last token of any of them has ended. */
export const RevokedPrincipalView = z.strictObject({
  kind: z.literal('revoked-principal'),
  ...header,
  principal: PrincipalId,
  authTime: Timestamp,
  by: z.string(),
  reason: z.string(),
  expiresAt: Timestamp,
});
export type RevokedPrincipalView = z.infer<typeof RevokedPrincipalView>;

/** KV key of a token of an identity provider that may be used once, by the digest of issuer and `jti`. */
export const usedTokenId = (digest: string) => `used.${digest}`;

/** It has admitted somebody, and admits nobody again while it lives. */
export const UsedTokenView = z.strictObject({ kind: z.literal('used-token'), ...header, expiresAt: Timestamp });
export type UsedTokenView = z.infer<typeof UsedTokenView>;

/** What the sessions bucket holds. Only a session has an id that a request subject can name. */
export const SessionsView = z.discriminatedUnion('kind', [
  SessionView,
  RevokedChainView,
  RevokedPrincipalView,
  HorizonView,
  UsedTokenView,
  TokenKeyView,
]);
export type SessionsView = z.infer<typeof SessionsView>;
export const sessionIn = (record: SessionsView | undefined): SessionView | undefined => (record?.kind === 'session' ? record : undefined);

export const BundleView = z.strictObject({ kind: z.literal('bundle'), ...header, hash: b64u(32, 32), bundle: z.unknown() });
export type BundleView = z.infer<typeof BundleView>;

/**
 * Signed high-water mark of a bucket: `sum` = Σ SHA-256(id ‖ "|" ‖ revision) mod 2^256 over `count` records. A holder that starts compares it with
 * what it loaded; `digest` is of the same set, for a holder that has read no more than headers (libs/messaging/src/high-water-mark.ts). So an old signed record, or an old bucket, that was put back while nobody watched is found.
 */
export const MarkView = z.strictObject({
  kind: z.literal('mark'),
  ...header,
  count: z.int().min(0),
  sum: b64u(32, 32),
  digest: b64u(32, 32).optional(),
  asOf: Timestamp,
});
export type MarkView = z.infer<typeof MarkView>;
