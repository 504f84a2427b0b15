import { z } from 'zod';
import { ApprovalKey, approvalKeyLimits } from './approval-keys';
import { BreakGlass, BreakGlassReview, Elevated, Elevation, elevationLimits } from './elevation';
import { GrantContext } from './grant-context';
import { Group, groupLimits } from './groups';
import { KnownToken } from './known-tokens';
import { KeyId, PrincipalId, printable, RoleId, Timestamp } from './primitives';
import { KeyProfile } from './profiles';
import { Quota, quotaLimits } from './quotas';
import { PackInForce, packLimits } from './regulation-packs';
import { RoleConflict, roleConflictsMost } from './role-conflicts';
import { PrincipalOwner } from './service-accounts';
import { Staleness } from './staleness';

export const bundleFormat = 'claviger.bundle/1';

/** Bounds of one bundle. A long one travels packed: all of it must stay within `packedLimits` as well. */
export const bundleLimits = {
  policiesChars: 1_000_000,
  schemaChars: 50_000,
  principals: 10_000,
  roles: 1_000,
  grants: 10_000,
  rolesPerPrincipal: 32,
  identitiesPerPrincipal: 16,
  claimsPerIdentity: 16,
  profiles: 100,
  tokens: 64,
  nameChars: 128,
  uriChars: 512,
} as const;

/** The one table of what policy can be asked about, and of which kind of resource. `internal` operations are not asked of policy. */
export const actionTable = {
  'crypto:Encrypt': 'Key',
  'crypto:Decrypt': 'Key',
  'crypto:Sign': 'Key',
  'crypto:Verify': 'Key',
  'crypto:ReEncryptFrom': 'Key',
  'crypto:ReEncryptTo': 'Key',
  'crypto:GenerateMac': 'Key',
  'crypto:VerifyMac': 'Key',
  'crypto:WrapKey': 'Key',
  'crypto:UnwrapKey': 'Key',
  'crypto:DeriveSharedSecret': 'Key',
  'crypto:Encapsulate': 'Key',
  'crypto:Decapsulate': 'Key',
  'crypto:GetPublicKey': 'Key',
  'crypto:GenerateDataKeyPair': 'Key',
  'crypto:GenerateDataKey': 'Key',
  'crypto:GenerateRandom': 'System',
  'keys:Create': 'Key',
  'keys:Describe': 'Key',
  'keys:List': 'System',
  'keys:ListKeks': 'System',
  'keys:ListTokens': 'System',
  'keys:Rotate': 'Key',
  'keys:Activate': 'Key',
  'keys:Deactivate': 'Key',
  'keys:MarkCompromised': 'Key',
  'keys:Suspend': 'Key',
  'keys:Resume': 'Key',
  'keys:ScheduleDeletion': 'Key',
  'keys:CancelDeletion': 'Key',
  'keys:SetConsumers': 'Key',
  'keys:SetOwner': 'Key',
  'keys:SetRotation': 'Key',
  'keys:SetClassification': 'Key',
  'keys:LowerClassification': 'Key',
  'keys:Certify': 'Key',
  'keys:SetResidency': 'Key',
  'keys:WidenResidency': 'Key',
  'keys:Update': 'Key',
  'backup:Create': 'System',
  'backup:List': 'System',
  'backup:Verify': 'System',
  'backup:Restore': 'System',
  'keys:ImportParameters': 'Key',
  'keys:ImportMaterial': 'Key',
  'keys:DeleteMaterial': 'Key',
  'keys:Export': 'Key',
  'keys:Protect': 'Key',
  'keys:Unprotect': 'Key',
  'keys:RegisterData': 'Key',
  'keys:SetAlias': 'Key',
  'keys:RotateKek': 'Key',
  'keys:RotateRoot': 'System',
  'keys:DestroyRoot': 'System',
  'keys:MigrateToken': 'System',
  'keys:ProveTokenEmpty': 'System',
  'keys:ReadJobs': 'System',
  'keys:PauseJob': 'System',
  'keys:ResumeJob': 'System',
  'policy:Read': 'System',
  'policy:Publish': 'System',
  'policy:ReadQuotas': 'System',
  'policy:Explain': 'System',
  'policy:ExplainOwn': 'System',
  'policy:ExplainKey': 'Key',
  'access:IssueToken': 'System',
  'access:RevokeSession': 'System',
  'access:ListSessions': 'System',
  'access:Request': 'System',
  'access:BreakGlass': 'System',
  'access:ReadGrants': 'System',
  'access:RevokeGrant': 'System',
  'access:CloseReview': 'System',
  'access:Offboard': 'System',
  'access:StartReview': 'System',
  'access:ReadReviews': 'System',
  'access:DecideReview': 'System',
  'access:CompleteReview': 'System',
  'access:ReadUnused': 'System',
  'access:RotateSigningKey': 'System',
  'access:ReadSigningKeys': 'System',
  'changes:Request': 'System',
  'changes:Read': 'System',
  'changes:Approve': 'System',
  'changes:Withdraw': 'System',
  'audit:Read': 'System',
  'audit:Verify': 'System',
  'audit:RecordCeremony': 'System',
  'audit:RecordReport': 'System',
  'alerts:Read': 'System',
  'alerts:Acknowledge': 'System',
  'system:Status': 'System',
} as const;
export type Action = keyof typeof actionTable;
export const Action = z.enum(Object.keys(actionTable) as [Action, ...Action[]]);
export const actions = Action.options;

const revision = z.int().min(1);
export const Role = z.strictObject({ id: RoleId, description: printable(500), revision });
export type Role = z.infer<typeof Role>;

/** By its name; `/` begins a JSON Pointer (RFC 6901) into a claim that is an object. */
const claimName = z.string().min(1).max(bundleLimits.nameChars);
/**
 * A JWT of an issuer. `issuer` and `subject` are its `iss` and `sub`, compared exactly (OpenID Connect Core §2); each of `claims` must be there with exactly
 * this value. One of `subject` and `claims` must be given. There are no wildcards: what a pattern would let through is somebody else's branch or namespace.
 */
export const OidcIdentity = z
  .strictObject({
    kind: z.literal('oidc'),
    issuer: z.url().max(bundleLimits.uriChars),
    subject: printable(255).optional(),
    claims: z
      .record(claimName, z.union([printable(bundleLimits.uriChars), z.boolean(), z.int()]))
      .refine((claims) => Object.keys(claims).length <= bundleLimits.claimsPerIdentity, 'too many claims')
      .optional(),
  })
  .refine(({ subject, claims }) => subject !== undefined || Object.keys(claims ?? {}).length > 0, 'names neither a subject nor a claim');
export type OidcIdentity = z.infer<typeof OidcIdentity>;

/** How a caller proves to be a principal. `token`: by a token that Claviger issued for its id. */
export const Identity = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('token') }),
  OidcIdentity,
  z.strictObject({
    kind: z.literal('spiffe'),
    id: z
      .string()
      .max(bundleLimits.uriChars)
      .regex(/^spiffe:\/\/[a-z0-9._-]+\/[A-Za-z0-9._/-]+$/),
  }),
  /** SHA-256 of the certificate's DER form, lower-case hexadecimal without colons. */
  z.strictObject({ kind: z.literal('certificate'), fingerprint256: z.string().regex(/^[0-9a-f]{64}$/, 'not 64 lower-case hex digits') }),
]);
export type Identity = z.infer<typeof Identity>;

export const Principal = z.strictObject({
  id: PrincipalId,
  kind: z.enum(['person', 'service']),
  displayName: printable(bundleLimits.nameChars).optional(),
  /** Of a service: who answers for it, and how they are reached. */
  owner: PrincipalOwner.optional(),
  contact: printable(bundleLimits.nameChars).optional(),
  roles: z.array(RoleId).max(bundleLimits.rolesPerPrincipal),
  disabled: z.boolean(),
  revision,
  identities: z.array(Identity).max(bundleLimits.identitiesPerPrincipal),
  /** What this person approves changes of others with; none when left out. */
  approvalKeys: z.array(ApprovalKey).max(approvalKeyLimits.perPrincipal).optional(),
});
export type Principal = z.infer<typeof Principal>;

export const GrantId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'a grant id is 1 to 64 of a-z, 0-9 and -');
const grantBase = {
  id: GrantId,
  principal: PrincipalId,
  /** In force from this instant on … */
  notBefore: Timestamp.optional(),
  /** … until just before this one: at `notAfter` itself it is over. */
  notAfter: Timestamp.optional(),
  /**
   * At most so many operations are allowed by it, over all processes; as many as one likes where left out. Only operations that nothing else allows count. They are counted under the id and the
   * principal for as long as there is a broker: another grant takes another id.
   */
  uses: z.int().min(1).max(quotaLimits.uses).optional(),
  revision,
  /** Where it was asked for and approved; left out where it is part of what was published. */
  elevated: Elevated.optional(),
};
/** For a time, a principal holds a role … */
export const RoleGrant = z.strictObject({ ...grantBase, role: RoleId });
/** … or may do one thing with one key, where the policies honour such grants (`context.granted`). */
export const KeyGrant = z.strictObject({
  ...grantBase,
  action: Action,
  key: KeyId,
  /** For any encryption context when left out. */
  context: GrantContext.optional(),
});
export type KeyGrant = z.infer<typeof KeyGrant>;
export const Grant = z.union([RoleGrant, KeyGrant]);
export type Grant = z.infer<typeof Grant>;

/**
 * Everything that a decision is made from, in one document. It is signed and content-hashed as a whole (RFC 8785); a holder never accepts a
 * lower revision. What no schema of shapes can say (references, Cedar's own validation) is checked by `validateBundle` of the authz lib.
 */
export const PolicyBundle = z.strictObject({
  format: z.literal(bundleFormat),
  revision,
  /** Cedar policies; each carries @id and @control. */
  policies: z.string().min(1).max(bundleLimits.policiesChars),
  /** Cedar schema in the human syntax. */
  schema: z.string().min(1).max(bundleLimits.schemaChars),
  principals: z.array(Principal).max(bundleLimits.principals),
  roles: z.array(Role).max(bundleLimits.roles),
  grants: z.array(Grant).max(bundleLimits.grants),
  /** Who belongs together, and holds roles by that; none when left out. */
  groups: z.array(Group).max(groupLimits.groups).optional(),
  /** Pairs of roles that nobody may hold both of; none when left out. */
  conflicts: z.array(RoleConflict).max(roleConflictsMost).optional(),
  /** When access that nobody uses is taken away; never when left out. */
  staleness: Staleness.optional(),
  /** The floors of keys; none when left out. */
  profiles: z.array(KeyProfile).max(bundleLimits.profiles).optional(),
  /** What is known of the tokens that keys are in. */
  tokens: z.array(KnownToken).max(bundleLimits.tokens).optional(),
  /** How often what is allowed may be done; as often as one likes where left out. */
  quotas: z.array(Quota).max(quotaLimits.quotas).optional(),
  /** Regulation packs whose policies are among these. */
  packs: z.array(PackInForce).max(packLimits.inForce).optional(),
  /** What may be asked for, for a time; nothing when left out. */
  elevations: z.array(Elevation).max(elevationLimits.rules).optional(),
  breakGlass: z.array(BreakGlass).max(elevationLimits.rules).optional(),
  /** The policy service keeps these, and the grants that are `elevated`: what is published changes neither. */
  breakGlassReviews: z.array(BreakGlassReview).max(elevationLimits.openReviews).optional(),
  publishedAt: Timestamp,
});
export type PolicyBundle = z.infer<typeof PolicyBundle>;
