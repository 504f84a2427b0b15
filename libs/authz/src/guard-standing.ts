import type { PolicyBundle } from '@claviger/contracts';
import { approversIn, isAsking } from './guard-changes';
import { parsePolicies } from './policy-set';

/** A policy that asks for approval, and how many people could give it. */
export interface GuardStanding {
  readonly policy: string;
  readonly quorum: number;
  readonly approvers: readonly string[];
  /** People who are enabled, with the role or in the group, and with a key to approve with. */
  readonly able: number;
  /** While it does not hold, nothing passes it, and whoever publishes policies may change it, and enrol approvers, alone. */
  readonly holds: boolean;
}

/** Every policy of a bundle that asks for approval; of a bundle whose policies cannot be read, none. */
export function guardStandings(
  bundle: Pick<PolicyBundle, 'policies' | 'principals' | 'roles' | 'grants' | 'groups'>,
  nowMs: number,
): GuardStanding[] {
  const parsed = parsePolicies(bundle.policies);
  const able = approversIn(bundle, nowMs);
  return (parsed.ok ? parsed.policies : []).filter(isAsking).map(({ id, approval: { quorum, approvers } }) => {
    const people = able(approvers).size;
    return { policy: id, quorum, approvers, able: people, holds: people >= quorum };
  });
}
