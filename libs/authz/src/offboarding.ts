import type { PolicyBundle } from '@claviger/contracts';
import { type Assignment, assignmentsOf } from './assignments';
import { disabledIn, withoutAssignments } from './withdrawal';

export interface Offboarded {
  /** Undefined where nothing is to change. */
  readonly bundle: PolicyBundle | undefined;
  readonly taken: readonly Assignment[];
  /** Service accounts that are handed over. */
  readonly handedOver: readonly string[];
  readonly owned: readonly string[];
}

/** The bundle once somebody has left: disabled, with nothing of its own, and its service accounts with whoever takes them. */
export function offboarded(bundle: PolicyBundle, principalId: string, to: string | undefined): Offboarded {
  const taken = assignmentsOf(bundle).filter(({ principal }) => principal === principalId);
  const owned = bundle.principals.filter((principal) => principal.owner === principalId).map(({ id }) => id);
  const handedOver = to === undefined ? [] : owned;
  const wasDisabled = bundle.principals.find(({ id }) => id === principalId)?.disabled ?? false;
  if (wasDisabled && taken.length === 0 && handedOver.length === 0) return { bundle: undefined, taken, handedOver, owned };
  const without = disabledIn(withoutAssignments(bundle, taken), new Set([principalId]));
  const principals = without.principals.map((principal) =>
    to !== undefined && principal.owner === principalId ? { ...principal, owner: to, revision: principal.revision + 1 } : principal,
  );
  return { bundle: { ...without, principals }, taken, handedOver, owned };
}
