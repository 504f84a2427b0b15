import type { Decision } from '../decision';
import { settle } from '../settle';
import type { Satisfied } from './satisfaction';
import type { Table } from './table';

/** What a decision is, without the policies behind it: `deny`, `allow`, `2 of auditor, security-officer`. */
export type Verdict = string;

/** One way in which two decisions differ. */
export const changeOf = (older: Decision, newer: Decision): string =>
  `${verdict(older)} → ${verdict(newer)} by ${newer.policyIds.join(', ')}`;

/** The evaluator's own rules (settle.ts), given what each policy says alone. */
export function decideAt(tables: readonly Table[], digits: readonly number[]): Decision {
  const permits: string[] = [];
  const forbids: string[] = [];
  const errors: string[] = [];
  for (const table of tables) {
    const { id, effect } = table.analysed.policy;
    const satisfied: Satisfied = table.at(digits);
    if (satisfied === 'error') errors.push(id);
    else if (satisfied === 'yes') (effect === 'permit' ? permits : forbids).push(id);
  }
  const decision = permits.length > 0 && forbids.length === 0 ? 'allow' : 'deny';
  const reason = forbids.length > 0 ? forbids : permits;
  const failed = errors.map((policyId) => ({ policyId, error: { message: 'fails', help: null, code: null, url: null, severity: null } }));
  const byId = new Map(tables.map(({ analysed: { policy } }) => [policy.id, policy]));
  return settle({ type: 'success', response: { decision, diagnostics: { reason, errors: failed } }, warnings: [] } as never, byId);
}

export const verdict = (decision: Decision): Verdict =>
  decision.kind === 'needs-approval' ? `${decision.quorum} of ${decision.approvers.join(', ')}` : decision.kind;

/** Whether `newer` asks for less: nothing instead of approval, fewer people, or people of further roles. */
export function widens(older: Decision, newer: Decision): boolean {
  if (newer.kind === 'deny') return false;
  if (older.kind === 'deny') return true;
  if (older.kind === 'allow') return false;
  if (newer.kind === 'allow') return true;
  return newer.quorum < older.quorum || newer.approvers.some((role) => !older.approvers.includes(role));
}
