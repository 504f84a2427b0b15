import { z } from 'zod';
import { defineOperation } from './operation';
import { Action, PolicyBundle } from './policy-bundle';
import { ChainId, PrincipalId, SessionId, Timestamp } from './primitives';

const bundleSummary = z.strictObject({
  revision: z.int(),
  hash: z.string(),
  publishedAt: Timestamp,
  principals: z.int(),
  policies: z.int(),
});

export const policyOperations = {
  show: defineOperation({
    name: 'policy.show',
    action: 'policy:Read',
    summary: 'The policy bundle in force.',
    retry: 'safe',
    packs: ['bundle'],
    input: {},
    result: z.strictObject({
      ...{ bundle: PolicyBundle, hash: z.string() },
      /** Actions that its schema, of an earlier version, does not know: nobody may do them until a bundle that has them is published. */
      missingActions: z.array(Action).optional(),
    }),
  }),
  publish: defineOperation({
    name: 'policy.publish',
    action: 'policy:Publish',
    summary: 'Validate a bundle and put it in force everywhere; `basedOn` is the revision that was read.',
    retry: 'never',
    packs: ['bundle'],
    input: {
      basedOn: z.int().min(0),
      bundle: PolicyBundle.omit({ revision: true, publishedAt: true }),
      reason: z.string().min(1).max(500),
    },
    result: bundleSummary,
  }),
  issueToken: defineOperation({
    name: 'access.issue-token',
    action: 'access:IssueToken',
    summary:
      'A token of at most 15 minutes for a principal, signed in the HSM. A principal may always renew its own, until its authentication is too old. `audience`: a JWT that tells somebody else who the caller is; it admits nobody here.',
    retry: 'safe',
    input: {
      principal: PrincipalId.optional(),
      lifetimeSeconds: z.int().min(10).max(900).default(900),
      audience: z
        .string()
        .min(1)
        .max(512)
        .regex(/^[\x21-\x7e]+$/, 'an audience is printable ASCII without spaces')
        .optional(),
    },
    result: z.strictObject({ principal: PrincipalId, token: z.string(), expiresAt: Timestamp }),
  }),
  revokeSession: defineOperation({
    name: 'access.revoke-session',
    action: 'access:RevokeSession',
    summary:
      'End a session and everything that came from the same authentication: its tokens admit and renew no more, every worker refuses its sessions, their connections are closed.',
    retry: 'safe',
    input: { session: SessionId, reason: z.string().min(1).max(500) },
    result: z.strictObject({ session: SessionId, revoked: z.literal(true) }),
  }),
  listSessions: defineOperation({
    name: 'access.list-sessions',
    action: 'access:ListSessions',
    summary: 'Live sessions, of one principal or of all.',
    retry: 'safe',
    input: { principal: PrincipalId.optional() },
    result: z.strictObject({
      sessions: z.array(
        z.strictObject({
          session: SessionId,
          principal: PrincipalId,
          method: z.string(),
          mfa: z.boolean(),
          acr: z.string().optional(),
          state: z.enum(['active', 'revoked']),
          /** When its holder authenticated, and the chain of what came from that. */
          authTime: Timestamp,
          chain: ChainId,
          issuedAt: Timestamp,
          expiresAt: Timestamp,
        }),
      ),
    }),
  }),
} as const;
