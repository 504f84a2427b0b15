import { z } from 'zod';
import { b64u, printable } from './primitives';

/** Bounds of what a principal approves with. */
export const approvalKeyLimits = {
  perPrincipal: 8,
  credentialBytes: 1_023,
  publicKeyBytes: 2_048,
  rpIdChars: 253,
  originChars: 512,
} as const;

const coordinate = b64u(32, 32);
/** Public halves only: `d` is refused with every other member (RFC 7517, RFC 8037 §2). */
export const ApprovalJwk = z.discriminatedUnion('kty', [
  z.strictObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate }),
  z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: coordinate }),
]);
export type ApprovalJwk = z.infer<typeof ApprovalJwk>;

/**
 * What a person approves changes of others with: a key of their own (ES256 or EdDSA), or a WebAuthn credential (W3C Web Authentication Level 3, §6.5.1: the
 * public key is a COSE_Key). `rpId` and `origin` say where the credential was registered, and where its assertions have to come from.
 */
export const ApprovalKey = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('signature'), label: printable(64).optional(), jwk: ApprovalJwk }),
  z.strictObject({
    kind: z.literal('webauthn'),
    label: printable(64).optional(),
    credentialId: b64u(approvalKeyLimits.credentialBytes).min(1),
    publicKey: b64u(approvalKeyLimits.publicKeyBytes).min(1),
    rpId: z
      .string()
      .max(approvalKeyLimits.rpIdChars)
      .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'a relying party id is a host name in lower case'),
    origin: z
      .string()
      .max(approvalKeyLimits.originChars)
      .regex(/^(https:\/\/[a-z0-9.-]+(:\d{1,5})?|http:\/\/localhost(:\d{1,5})?)$/, 'an origin is https://host, or http://localhost:port'),
  }),
]);
export type ApprovalKey = z.infer<typeof ApprovalKey>;
