import { z } from 'zod';
import { defineOperation } from './operation';
import { PrincipalId, Timestamp } from './primitives';
import { PrincipalOwner } from './service-accounts';

const reason = z.string().min(1).max(500);

/** Public half of a key that signs tokens (RFC 7517 §4, RFC 7518 §6.2.1); `kid` is its thumbprint (RFC 7638). */
export const SigningJwk = z.strictObject({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
  use: z.literal('sig'),
  alg: z.literal('ES256'),
  kid: z.string(),
});
export type SigningJwk = z.infer<typeof SigningJwk>;

export const accessOperations = {
  jwks: defineOperation({
    name: 'access.jwks',
    action: 'access:ReadSigningKeys',
    summary:
      'The public keys that tokens of Claviger verify with (RFC 7517 §5), those that will sign soon among them; the same as GET /jwks.',
    retry: 'safe',
    input: {},
    result: z.strictObject({
      keys: z.array(SigningJwk),
      /** `kid` of the one that signs now. */
      signing: z.string().optional(),
    }),
  }),
  rotateSigningKey: defineOperation({
    name: 'access.rotate-signing-key',
    action: 'access:RotateSigningKey',
    summary:
      'Make a new key that signs tokens. It is published at once and signs five minutes later; the one before verifies until its last token has ended. `compromised`: it signs at once, no token of an earlier one counts any more, and every session that came from a token ends.',
    retry: 'never',
    input: { reason, compromised: z.boolean().default(false) },
    result: z.strictObject({ kid: z.string(), activeFrom: Timestamp, withdrawn: z.array(z.string()), sessionsEnded: z.int() }),
  }),
  revokeSessions: defineOperation({
    name: 'access.revoke-sessions',
    action: 'access:RevokeSession',
    summary:
      'End every session of a principal and every authentication up to now: its tokens in hand admit and renew no more. A certificate, or a new login at an identity provider, admits again unless the principal is disabled.',
    retry: 'safe',
    input: { principal: PrincipalId, reason },
    result: z.strictObject({ principal: PrincipalId, sessions: z.int() }),
  }),
  listServiceAccounts: defineOperation({
    name: 'access.list-service-accounts',
    action: 'policy:Read',
    summary: 'Principals of kind service with who answers for them: of one owner, or those that nobody answers for.',
    retry: 'safe',
    input: { owner: PrincipalOwner.optional(), unowned: z.boolean().default(false) },
    result: z.strictObject({
      serviceAccounts: z.array(
        z.strictObject({
          principal: PrincipalId,
          displayName: z.string().optional(),
          owner: PrincipalOwner.optional(),
          contact: z.string().optional(),
          disabled: z.boolean(),
          roles: z.array(z.string()),
          /** Kinds of identity that it proves itself by. */
          identities: z.array(z.string()),
          /** `none`: nobody is named. `gone`: who is named is disabled, or of no use as an owner. */
          ownership: z.enum(['owned', 'none', 'gone']),
        }),
      ),
      /** There are more than one answer holds: ask for those of an owner, or those without. */
      more: z.literal(true).optional(),
    }),
  }),
} as const;
