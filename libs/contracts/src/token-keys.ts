import { z } from 'zod';
import { Timestamp } from './primitives';

/** KV key of a key that signs tokens, in the sessions bucket. */
export const tokenKeyId = (number: number) => `token-key.${number}`;

/** Label of its pair in the control token; nothing else there has such a label. */
export const SigningKeyLabel = z.string().regex(/^token-signing-[1-9][0-9]{0,8}-[0-9a-f]{16}$/);

/**
 * A key that signs tokens. `begun`: somebody is making the pair under this label. `made`: it verifies from then on, and signs from `activeFrom` until the
 * next one does. `withdrawn`: nothing that it signed counts. `destroyed`: the pair is gone from the token.
 */
export const TokenKeyView = z.strictObject({
  kind: z.literal('token-key'),
  id: z.string(),
  revision: z.int().min(1),
  number: z.int().min(1),
  label: SigningKeyLabel,
  state: z.enum(['begun', 'made', 'withdrawn', 'destroyed']),
  begunAt: Timestamp,
  /** DER SubjectPublicKeyInfo, base64url, and its thumbprint (RFC 7638): from `made` on. */
  publicKeySpki: z.string().optional(),
  kid: z.string().optional(),
  activeFrom: Timestamp.optional(),
  /** When this record goes: set once nothing depends on it. */
  expiresAt: Timestamp.optional(),
});
export type TokenKeyView = z.infer<typeof TokenKeyView>;
