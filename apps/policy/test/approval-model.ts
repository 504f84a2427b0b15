import type { ApprovalRule } from '@claviger/authz';

export const people = ['sofia', 'sofie', 'simon', 'sven', 'ida', 'eve', 'robot', 'twin'] as const;
export type Person = (typeof people)[number];
/** Of the keys of a person, the one that the bundle names; undefined when it names none. */
export type KeyNumber = 0 | 1;

export interface Standing {
  enabled: boolean;
  officer: boolean;
  /** In acme/security; in acme/night-shift, which is in acme/security; in umbrella/security. */
  direct: boolean;
  nested: boolean;
  umbrella: boolean;
  key: KeyNumber | undefined;
}
export type Facet = Exclude<keyof Standing, 'key'>;

/** What policy says of the command: allowed without more, not allowed, or with the approval of others. */
export type Guard = 'none' | 'denied' | ApprovalRule;

export interface ModelChange {
  readonly rule: ApprovalRule;
  readonly expiresMs: number;
  /** `sofia 0`: who, and with which key. */
  readonly approvals: Set<string>;
  ended?: 'executed' | 'withdrawn' | 'rejected';
}

/** What has to be true of change requests, in as few words as there are: no signature, no bucket, no store. */
export interface Model {
  readonly standings: Record<Person, Standing>;
  guard: Guard;
  readonly changes: ModelChange[];
}

const nobody: Standing = { enabled: true, officer: false, direct: false, nested: false, umbrella: false, key: 0 };
export const newModel = (): Model => ({
  standings: {
    sofia: { ...nobody, officer: true, direct: true },
    // Another principal of the same person as sofia.
    sofie: { ...nobody, officer: true, direct: true },
    simon: { ...nobody, officer: true },
    sven: { ...nobody, officer: true, direct: true },
    ida: { ...nobody, nested: true },
    eve: { ...nobody, umbrella: true },
    // A service, and another principal of the requester.
    robot: { ...nobody, officer: true, direct: true },
    twin: { ...nobody, officer: true, direct: true },
  },
  guard: { quorum: 2, approvers: ['security-officer'] },
  changes: [],
});

export const groupAsked = 'group:acme/security';
const humanOf = (id: Person): string => (id === 'sofie' ? 'sofia' : id);

export function mayApprove({ standings }: Model, id: Person, { approvers }: ApprovalRule): boolean {
  const { enabled, officer, direct, nested } = standings[id];
  const isMember = (approver: string) => (approver === groupAsked ? direct || nested : officer);
  return enabled && id !== 'robot' && id !== 'twin' && approvers.some(isMember);
}
const enough = (ids: Person[], { quorum }: ApprovalRule): boolean => new Set(ids.map(humanOf)).size >= quorum;

/** Whether people enough could ever approve it. */
export const isReachable = (model: Model, rule: ApprovalRule): boolean =>
  enough(
    people.filter((id) => mayApprove(model, id, rule) && model.standings[id].key !== undefined),
    rule,
  );

/** Whether the approvals that it has are enough for this rule at this moment. */
export const isApproved = (model: Model, change: ModelChange, rule: ApprovalRule): boolean =>
  enough(
    people.filter((id) => mayApprove(model, id, rule) && change.approvals.has(`${id} ${model.standings[id].key}`)),
    rule,
  );

/** Why it cannot be approved or ended any more. */
export function notWaiting({ ended, expiresMs }: ModelChange, nowMs: number): string | undefined {
  if (ended === 'executed') return 'ERR_CHANGE_USED';
  if (ended) return 'ERR_CHANGE_STATE';
  return expiresMs <= nowMs ? 'ERR_CHANGE_EXPIRED' : undefined;
}

/** Why exactly its command is not done by it now; undefined when it is. */
export function notExecuted(model: Model, change: ModelChange, nowMs: number): string | undefined {
  const over = notWaiting(change, nowMs);
  if (over) return over;
  if (!isApproved(model, change, change.rule)) return 'ERR_APPROVAL_REQUIRED';
  if (model.guard === 'denied') return 'ERR_ACCESS_DENIED';
  return model.guard === 'none' || isApproved(model, change, model.guard) ? undefined : 'ERR_APPROVAL_REQUIRED';
}
