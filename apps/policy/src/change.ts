import {
  type ApprovalRule,
  type Count,
  changeChallenge,
  commandDigest,
  countApprovals,
  type People,
  type ProvenApproval,
  whyNot,
} from '@claviger/authz';
import {
  type Approval,
  type ChangeDescription,
  type ChangeOutcomeView,
  type ChangeState,
  type ChangeView,
  ProblemError,
} from '@claviger/contracts';

/** A command that waits for the approval of others, as it is stored. */
export interface Change extends ApprovalRule {
  readonly change: string;
  readonly revision: number;
  readonly state: ChangeState;
  readonly requester: string;
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly reason: string;
  readonly requestedAt: string;
  readonly expiresAt: string;
  readonly approvals: readonly Approval[];
  /** Of each approval, the name of the key that made it. */
  readonly keys: readonly string[];
  readonly ended?: Ended;
}
export interface Ended {
  readonly by: string;
  readonly at: string;
  readonly reason?: string;
  readonly code?: string;
}

export type NewChange = Pick<Change, 'change' | 'requester' | 'operation' | 'input' | 'reason' | 'quorum' | 'approvers'>;

export const requestChange = (about: NewChange, expiresInHours: number, nowMs: number): Change => ({
  ...about,
  ...{ revision: 1, state: 'requested', approvals: [], keys: [] },
  requestedAt: new Date(nowMs).toISOString(),
  expiresAt: new Date(nowMs + expiresInHours * 3_600_000).toISOString(),
});

/** What approvers sign. */
export const challengeOf = (change: Change): string => changeChallenge(change);

export const isWaiting = ({ state }: Pick<Change, 'state'>): boolean => state === 'requested' || state === 'approved';

/** Throws ERR_CHANGE_EXPIRED, ERR_CHANGE_USED, ERR_CHANGE_STATE. */
export function assertWaiting(change: Change, nowMs: number): void {
  const { state, ended, expiresAt } = change;
  if (state === 'executed' || state === 'executing' || state === 'failed') throw new ProblemError('ERR_CHANGE_USED', `It is ${state}.`);
  if (state === 'expired' || (isWaiting(change) && Date.parse(expiresAt) <= nowMs))
    throw new ProblemError('ERR_CHANGE_EXPIRED', `It expired at ${expiresAt}.`);
  if (!isWaiting(change)) throw new ProblemError('ERR_CHANGE_STATE', `It was ${state} by ${ended?.by} at ${ended?.at}.`);
}

/** Throws ERR_APPROVER. */
export function assertApprover(change: Change, approver: string, people: People, nowMs: number): void {
  const why = whyNot(approver, { rule: change, requester: change.requester, people, nowMs });
  if (why !== undefined) throw new ProblemError('ERR_APPROVER', `${why}.`);
}

/** One more approval, whose proof was verified; the same change where it adds nothing. More than the quorum may approve: policy may ask for more when it is executed. */
export function approveChange(change: Change, approval: Approval, key: string, people: People, nowMs: number): Change {
  assertWaiting(change, nowMs);
  assertApprover(change, approval.approver, people, nowMs);
  if (change.approvals.some(({ approver }, i) => approver === approval.approver && change.keys[i] === key)) return change;
  const to = { ...change, revision: change.revision + 1, approvals: [...change.approvals, approval], keys: [...change.keys, key] };
  return { ...to, state: countOf(to, people, nowMs).satisfied ? 'approved' : 'requested' };
}

export function countOf(change: Change, people: People, nowMs: number): Count {
  return countApprovals(provenOf(change), { rule: change, requester: change.requester, people, nowMs });
}
const provenOf = ({ approvals, keys }: Change): ProvenApproval[] =>
  approvals.map(({ approver }, i) => ({ approver, key: keys[i] as string }));

/** As the outcome in the bucket says, which whoever ended it wrote there. */
export function endChange(
  change: Change,
  { state, by, at, code }: Pick<ChangeOutcomeView, 'by' | 'at' | 'code'> & { state: ChangeState },
  reason?: string,
): Change {
  const ended = { by, at, ...(reason === undefined ? {} : { reason }), ...(code === undefined ? {} : { code }) };
  return { ...change, revision: change.revision + 1, state, ended };
}

/** Its execution was refused before anything was done: it waits again. Of the same revision, as it is read; whoever stores it raises that. */
export function reopenChange({ ended: _, ...change }: Change, people: People, nowMs: number): Change {
  return { ...change, state: countOf(change, people, nowMs).satisfied ? 'approved' : 'requested' };
}

export const viewOf = (change: Change): ChangeView => ({
  ...{ kind: 'change', id: change.change, revision: change.revision, requester: change.requester, operation: change.operation },
  ...{ command: commandDigest(change), reason: change.reason, quorum: change.quorum, approvers: [...change.approvers] },
  ...{ requestedAt: change.requestedAt, expiresAt: change.expiresAt, approvals: [...change.approvals] },
});

/** `nowMs`: what is over and not looked at yet is expired. */
export function describeChange(change: Change, nowMs: number): ChangeDescription {
  const { input: _, keys: __, approvals, approvers, ended, ...rest } = change;
  return {
    ...rest,
    state: isWaiting(change) && Date.parse(change.expiresAt) <= nowMs ? 'expired' : change.state,
    approvers: [...approvers],
    approvals: approvals.map(({ approver, at, proof }) => ({ approver, at, by: proof.kind })),
    ...(ended ? { ended } : {}),
  };
}
