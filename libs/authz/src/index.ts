export {
  type Allowance,
  drawSize,
  drew,
  giveBack,
  isExhausted,
  isLow,
  learnReturned,
  left,
  newAllowance,
  take,
  untake,
} from './allowance';
export { decidingBySituation } from './analysis/by-situation';
export { type Ineffective, ineffectivePolicies } from './analysis/ineffective';
export { type Comparison, type Widening, widenings } from './analysis/widening';
export { type Approval, type ApprovalRule, approvalOf, strictest } from './approval';
export { isSamePerson, nameOfApprovalKey, thumbprintOf } from './approval-keys';
export { ApprovalRefused, approvalType, type ProvenApproval, proveApproval } from './approval-proof';
export { type ApprovalSigner, signApproval, signerWith } from './approval-signature';
export { type Count, countApprovals, type People, peopleWhoCan, type Question, whyNot } from './approvals';
export { type Assignment, assignmentsOf, type Period, pathText, periodText, rolesGiven } from './assignments';
export {
  closedBy,
  decideBreakGlass,
  isClosed,
  isDue,
  reviewersOf,
  reviewOf,
  whyNotClose,
  withReview,
} from './break-glass';
export { bundleHash } from './bundle-hash';
export { type BundleIssue, issueText } from './bundle-issue';
export { CedarThread } from './cedar-thread';
export { type Command, changeChallenge, changeType, commandDigest, type ExactChange } from './change-hash';
export { type Compilation, type CompiledPolicies, compilePolicies } from './compiled-policies';
export type { Allowed, Decision, Denied, DenyCode, NeedsApproval } from './decision';
export {
  authored,
  carriedOver,
  decideElevation,
  type ElevationDecision,
  elevatedGrant,
  grantIdOf,
  isSwept,
  type Requester,
  type WantedAccess,
  type WantedKey,
  wantedText,
  withGrant,
  withoutGrant,
} from './elevation';
export { Evaluator, type LoadResult } from './evaluator';
export { type Answered, explained } from './explained';
export { factsReadBy, type RequestFact } from './facts-read';
export { type Bound, type Floor, floorOf, type KeyFacts, missingNotes, type Shortfall, shortfalls } from './floor';
export { type Admission, type ApprovedWay, type Caller, Gate, type GatePorts, keyResource, Refusal, type SessionSource } from './gate';
export { type GuardChange, guardChanges } from './guard-changes';
export { type GuardStanding, guardStandings } from './guard-standing';
export { type MembershipPath, type Memberships, membershipsOf } from './memberships';
export { assuredTokens, mismatchesOf, moduleShortfalls, type Place, type Standing, standingOf, tokensOf } from './module-validation';
export { type Offboarded, offboarded } from './offboarding';
export { type Permit, type TracesOfUse, tracesOf } from './permits';
export { type Policy, parsePolicies } from './policy-set';
export { decideQuestion, type PolicyQuestion } from './policy-test';
export { Charges, type QuotaGate, QuotaPending } from './quota-gate';
export { actionsOf, type Counted, countedBy, type HeldBy, isAboutKeys, type QuotaRules, quotaRules } from './quota-rules';
export {
  type AuthorizationRequest,
  claviger,
  type KeyAttributes,
  type KeyResource,
  type RequestContext,
  type Resource,
  type SystemResource,
} from './request';
export { type SeparationBreach, separationBreaches, separationIssues, separationOf } from './separation';
export {
  newUnownedServices,
  type Ownership,
  type ServiceAccount,
  serviceAccounts,
  servicesOwnedBy,
  unownedServices,
} from './service-accounts';
export type { Elsewhere } from './steps';
export type { LimitedGrant } from './subjects';
export { type Subject, subjectsOf } from './subjects';
export { BundleValidator, validateBundle } from './validate-bundle';
export { disabledIn, type Keep, keptByDefault, shortAfter, withoutAssignments } from './withdrawal';
