import type { Action } from '@claviger/contracts';

/** The roles of the starter policies, in the order of the columns. */
export const matrixRoles = ['key-administrator', 'security-officer', 'application-owner', 'application', 'auditor', 'operator'] as const;
export type MatrixRole = (typeof matrixRoles)[number];

/** What a cell may say, and what it means; a cell may say several, with spaces between. */
export const matrixWords = {
  '-': 'no: no policy permits it',
  never: 'no, and no other role of the same principal makes it possible',
  yes: 'yes',
  people: 'yes, but no service',
  own: 'of its own keys: as their owner, and an application as a consumer too',
  mfa: 'with a second factor',
  'prod-mfa': 'yes; of production keys with a second factor',
  'never-prod': 'yes, but of no production key, and no other role makes that possible',
  approval: 'when two security officers approve',
  'approval-prod-restricted': 'of restricted production keys when two security officers approve',
} as const;

/**
 * Who may do what by the starter policies: the expected answer for every role, action, environment, classification, second factor and owner of the key. Nobody
 * without a role may do anything. Whoever has two roles may do what either may; what one of them does only with approval takes approval.
 */
export const roleMatrix: Record<Action, readonly [string, string, string, string, string, string]> = {
  'crypto:Encrypt': ['never', '-', '-', 'own', '-', '-'],
  'crypto:Decrypt': ['never', '-', '-', 'own', '-', '-'],
  'crypto:Sign': ['never', '-', '-', 'own', '-', '-'],
  'crypto:Verify': ['never', '-', '-', 'own', '-', '-'],
  'crypto:ReEncryptFrom': ['never', '-', '-', 'own', '-', '-'],
  'crypto:ReEncryptTo': ['never', '-', '-', 'own', '-', '-'],
  'crypto:GenerateMac': ['never', '-', '-', 'own', '-', '-'],
  'crypto:VerifyMac': ['never', '-', '-', 'own', '-', '-'],
  'crypto:WrapKey': ['never', '-', '-', 'own', '-', '-'],
  'crypto:UnwrapKey': ['never', '-', '-', 'own', '-', '-'],
  'crypto:DeriveSharedSecret': ['never', '-', '-', 'own', '-', '-'],
  'crypto:Encapsulate': ['never', '-', '-', 'own', '-', '-'],
  'crypto:Decapsulate': ['never', '-', '-', 'own', '-', '-'],
  'crypto:GetPublicKey': ['never', '-', '-', 'own', '-', '-'],
  'crypto:GenerateDataKeyPair': ['never', '-', '-', 'own', '-', '-'],
  'crypto:GenerateDataKey': ['never', '-', '-', 'own', '-', '-'],
  'crypto:GenerateRandom': ['never', '-', '-', 'yes', '-', '-'],
  'keys:Create': ['prod-mfa', '-', '-', '-', '-', '-'],
  'keys:Describe': ['yes', 'yes', 'own', '-', 'yes', '-'],
  'keys:List': ['yes', 'yes', 'yes', '-', 'yes', '-'],
  'keys:ListKeks': ['yes', 'yes', '-', '-', 'yes', '-'],
  'keys:ListTokens': ['-', 'yes', '-', '-', 'yes', 'yes'],
  'keys:Rotate': ['prod-mfa', '-', '-', '-', '-', '-'],
  'keys:Activate': ['prod-mfa', '-', '-', '-', '-', '-'],
  'keys:Deactivate': ['prod-mfa', '-', '-', '-', '-', '-'],
  'keys:MarkCompromised': ['prod-mfa', 'prod-mfa', '-', '-', '-', '-'],
  'keys:Suspend': ['yes', 'yes', '-', '-', '-', '-'],
  'keys:Resume': ['-', 'prod-mfa', '-', '-', '-', '-'],
  'keys:ScheduleDeletion': ['prod-mfa approval-prod-restricted', '-', '-', '-', '-', '-'],
  'keys:CancelDeletion': ['prod-mfa', '-', '-', '-', '-', '-'],
  'keys:SetConsumers': ['-', '-', 'own prod-mfa', '-', '-', '-'],
  'keys:SetOwner': ['-', 'prod-mfa', 'own prod-mfa', '-', '-', '-'],
  'keys:SetRotation': ['prod-mfa', '-', '-', '-', '-', '-'],
  'keys:SetClassification': ['prod-mfa', 'prod-mfa', 'own prod-mfa', '-', '-', '-'],
  'keys:LowerClassification': ['-', 'yes', '-', '-', '-', '-'],
  'keys:Certify': ['-', '-', 'own prod-mfa', '-', '-', '-'],
  'keys:SetResidency': ['-', 'prod-mfa', 'own prod-mfa', '-', '-', '-'],
  'keys:WidenResidency': ['-', 'yes', '-', '-', '-', '-'],
  'keys:Update': ['prod-mfa', '-', 'own prod-mfa', '-', '-', '-'],
  'backup:Create': ['-', '-', '-', '-', '-', 'yes'],
  'backup:List': ['-', '-', '-', '-', 'yes', 'yes'],
  'backup:Verify': ['-', '-', '-', '-', '-', 'yes'],
  'backup:Restore': ['-', '-', '-', '-', '-', 'mfa'],
  'keys:ImportParameters': ['never-prod', '-', 'own prod-mfa', '-', '-', '-'],
  'keys:ImportMaterial': ['never-prod', '-', 'own prod-mfa', '-', '-', '-'],
  'keys:DeleteMaterial': ['prod-mfa', '-', '-', '-', '-', '-'],
  'keys:Export': ['-', '-', 'own prod-mfa approval', '-', '-', '-'],
  'keys:Protect': ['yes', 'yes', 'own', '-', '-', '-'],
  'keys:Unprotect': ['-', 'prod-mfa', '-', '-', '-', '-'],
  'keys:RegisterData': ['-', '-', 'own', 'own', '-', '-'],
  'keys:SetAlias': ['prod-mfa', '-', 'own prod-mfa', '-', '-', '-'],
  'keys:RotateKek': ['prod-mfa', '-', '-', '-', '-', '-'],
  'keys:RotateRoot': ['mfa', '-', '-', '-', '-', '-'],
  'keys:DestroyRoot': ['mfa', '-', '-', '-', '-', '-'],
  'keys:MigrateToken': ['mfa', '-', '-', '-', '-', '-'],
  'keys:ProveTokenEmpty': ['mfa', '-', '-', '-', '-', '-'],
  'keys:ReadJobs': ['yes', 'yes', '-', '-', 'yes', 'yes'],
  'keys:PauseJob': ['yes', '-', '-', '-', '-', 'yes'],
  'keys:ResumeJob': ['yes', '-', '-', '-', '-', 'yes'],
  'policy:Read': ['-', 'yes', '-', '-', 'yes', '-'],
  'policy:Publish': ['-', 'yes', '-', '-', '-', '-'],
  'policy:ReadQuotas': ['-', 'yes', '-', '-', 'yes', 'yes'],
  'policy:Explain': ['-', 'yes', '-', '-', 'yes', '-'],
  'policy:ExplainOwn': ['yes', 'yes', 'yes', '-', 'yes', 'yes'],
  'policy:ExplainKey': ['-', '-', 'own', '-', '-', '-'],
  'access:IssueToken': ['-', '-', '-', '-', '-', '-'],
  'access:RevokeSession': ['-', 'yes', '-', '-', '-', '-'],
  'access:ListSessions': ['-', 'yes', '-', '-', '-', '-'],
  'access:Request': ['people', '-', 'people', '-', '-', 'people'],
  'access:BreakGlass': ['people mfa', '-', 'people mfa', '-', '-', 'people mfa'],
  'access:ReadGrants': ['-', 'yes', '-', '-', 'yes', '-'],
  'access:RevokeGrant': ['-', 'yes', '-', '-', '-', '-'],
  'access:CloseReview': ['-', 'yes', '-', '-', 'yes', '-'],
  'access:Offboard': ['-', 'yes', '-', '-', '-', '-'],
  'access:StartReview': ['-', 'yes', '-', '-', '-', '-'],
  'access:ReadReviews': ['-', 'yes', 'yes', '-', 'yes', '-'],
  'access:DecideReview': ['-', 'yes', 'yes', '-', '-', '-'],
  'access:CompleteReview': ['-', 'yes', '-', '-', '-', '-'],
  'access:ReadUnused': ['-', 'yes', '-', '-', 'yes', '-'],
  'access:RotateSigningKey': ['-', 'yes', '-', '-', '-', '-'],
  'access:ReadSigningKeys': ['yes', 'yes', 'yes', 'yes', 'yes', 'yes'],
  'changes:Request': ['people', 'people', 'people', '-', '-', 'people'],
  'changes:Read': ['-', 'people', '-', '-', 'yes', '-'],
  'changes:Approve': ['-', 'people', '-', '-', '-', '-'],
  'changes:Withdraw': ['-', 'people', '-', '-', '-', '-'],
  'audit:Read': ['-', '-', '-', '-', 'yes', '-'],
  'audit:Verify': ['-', '-', '-', '-', 'yes', '-'],
  'audit:RecordCeremony': ['-', 'yes', '-', '-', '-', 'yes'],
  'audit:RecordReport': ['-', 'yes', '-', '-', 'yes', '-'],
  'alerts:Read': ['-', 'yes', '-', '-', 'yes', 'yes'],
  'alerts:Acknowledge': ['-', 'yes', '-', '-', '-', '-'],
  'system:Status': ['-', '-', '-', '-', '-', 'yes'],
};

/** One kind of question: which key, whose, and with how many factors. Of an action about the system only the factors count. */
export interface Situation {
  readonly environment: string;
  readonly classification: string;
  readonly own: boolean;
  readonly mfa: boolean;
}
export type Verdict = 'allow' | 'deny' | 'needs-approval';

/** What the table says for a principal with these roles. */
export function expected(action: Action, roles: readonly MatrixRole[], situation: Situation): Verdict {
  const cells = roles.map((role) => roleMatrix[action][matrixRoles.indexOf(role)]!.split(' '));
  const production = situation.environment === 'production';
  if (cells.some((words) => words.includes('never') || (production && words.includes('never-prod')))) return 'deny';
  // Only an application is a service here.
  const verdicts = cells.map((words) => (words.includes('people') && roles.includes('application') ? 'deny' : verdict(words, situation)));
  return verdicts.includes('needs-approval') ? 'needs-approval' : verdicts.includes('allow') ? 'allow' : 'deny';
}

function verdict(words: readonly string[], { environment, classification, own, mfa }: Situation): Verdict {
  const production = environment === 'production';
  if (words.includes('-') || (words.includes('own') && !own)) return 'deny';
  if (!mfa && (words.includes('mfa') || (production && words.includes('prod-mfa')))) return 'deny';
  const guarded =
    words.includes('approval') || (words.includes('approval-prod-restricted') && production && classification === 'restricted');
  return guarded ? 'needs-approval' : 'allow';
}
