import { z } from 'zod';
import { defineOperation } from './operation';
import { Action } from './policy-bundle';
import { EncryptionContext, KeyId, KeyRef, PrincipalId, Timestamp } from './primitives';

/** So much of one explanation fits a message, with room to spare: what is more is counted. */
export const explainLimits = { policies: 100, missing: 100, conditionChars: 2_000, textChars: 262_144 } as const;

const policyId = z.string().max(64);
const condition = z.string().max(explainLimits.conditionChars);

/**
 * What would be needed, one way each. `mfa`: a second factor, after which it would be allowed or need approval. `grant`: uses of grants that are counted and
 * that allow it as long as some are left. `request`: what the caller may ask for, by these rules of elevations. `policy`: no policy permits the action to anybody.
 */
export const MissingForAccess = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('role'), role: z.string().max(64), policy: policyId }),
  z.strictObject({ kind: z.literal('group'), group: z.string().max(200), policy: policyId }),
  z.strictObject({ kind: z.literal('condition'), condition, policy: policyId, summary: z.string().optional() }),
  z.strictObject({ kind: z.literal('mfa'), gives: z.enum(['allow', 'needs-approval']) }),
  z.strictObject({ kind: z.literal('approval'), quorum: z.int(), approvers: z.array(z.string().max(200)) }),
  z.strictObject({ kind: z.literal('grant'), grants: z.array(z.string().max(64)), gives: z.enum(['allow', 'needs-approval']) }),
  z.strictObject({ kind: z.literal('request'), role: z.string().max(64).optional(), rules: z.array(z.string().max(64)) }),
  z.strictObject({ kind: z.literal('policy') }),
]);
export type MissingForAccess = z.infer<typeof MissingForAccess>;

/** A policy that decided. */
export const ExplainedPolicy = z.strictObject({
  id: policyId,
  effect: z.enum(['permit', 'forbid']),
  summary: z.string().optional(),
  controls: z.array(z.string()),
});
export type ExplainedPolicy = z.infer<typeof ExplainedPolicy>;

export const explainOperations = {
  explain: defineOperation({
    name: 'policy.explain',
    action: 'policy:Explain',
    summary:
      'What the policies in force decide about a question, which of them, and what is missing. Of anybody with `policy:Explain`; of the caller itself with `policy:ExplainOwn`; of a key with `policy:ExplainKey` on it. Nothing is done and nothing is counted. `principal`, second factor and method are those of the caller where it asks about itself and says none.',
    retry: 'safe',
    input: {
      principal: PrincipalId.optional(),
      action: Action,
      /** Of an action about a key. */
      key: KeyRef.optional(),
      mfa: z.boolean().optional(),
      method: z.enum(['token', 'oidc', 'certificate']).optional(),
      acr: z.string().min(1).max(256).optional(),
      encryptionContext: EncryptionContext.optional(),
      /** Of keys:SetOwner. */
      newOwner: PrincipalId.optional(),
      /** Decided as of then; now where left out. */
      at: Timestamp.optional(),
    },
    result: z.strictObject({
      decision: z.enum(['allow', 'deny', 'needs-approval']),
      /** Why, as `no-permit` or `forbidden`; `permitted` and `approval-required` of the others. */
      code: z.string().max(64),
      /** What was asked, with what was taken where the caller left it out. */
      question: z.strictObject({
        principal: PrincipalId,
        action: Action,
        keyId: KeyId.optional(),
        keyRevision: z.int().optional(),
        mfa: z.boolean(),
        method: z.string(),
        at: Timestamp,
      }),
      /** By which bundle it was decided here. */
      bundle: z.strictObject({ revision: z.int(), hash: z.string() }),
      policies: z.array(ExplainedPolicy).max(explainLimits.policies),
      roles: z.array(z.string()),
      groups: z.array(z.string()),
      missing: z.array(MissingForAccess).max(explainLimits.missing),
      /** The same for people. Its wording may change. */
      text: z.string().max(explainLimits.textChars),
    }),
  }),
} as const;
