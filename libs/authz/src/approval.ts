import type { Annotations } from '@cedar-policy/cedar-wasm/nodejs';

export interface ApprovalRule {
  readonly quorum: number;
  /** Role ids, and groups as `group:tenant/id`. */
  readonly approvers: readonly string[];
}
/** `invalid` is kept apart from `none`: a guard that cannot be read must close the way, not open it. */
export type Approval =
  | { readonly kind: 'none' }
  | ({ readonly kind: 'asked' } & ApprovalRule)
  | { readonly kind: 'invalid'; readonly why: string };

/** Reads `@quorum("2") @approvers("security-officer, group:acme/security")`: roles, and groups by tenant and id. Cedar gives an annotation without a value as null. */
export function approvalOf(annotations: Readonly<Annotations>): Approval {
  const asks = Object.hasOwn(annotations, 'quorum') || Object.hasOwn(annotations, 'approvers');
  if (!asks) return { kind: 'none' };
  const quorum = annotations.quorum ?? '';
  if (!/^[1-9][0-9]?$/.test(quorum)) return { kind: 'invalid', why: '@quorum must be a number from 1 to 99' };
  const approvers = [...new Set((annotations.approvers ?? '').split(',').map((role) => role.trim()))].filter((role) => role !== '');
  if (approvers.length === 0) return { kind: 'invalid', why: '@approvers must name at least one role or group' };
  return { kind: 'asked', quorum: Number(quorum), approvers };
}

/**
 * Several permits match and more than one asks for approval: the rule that satisfies all of them, the largest quorum from the roles and groups that
 * every one of them names. Undefined when none is named by all.
 */
export function strictest(rules: readonly ApprovalRule[]): ApprovalRule | undefined {
  const quorum = Math.max(...rules.map((rule) => rule.quorum));
  const approvers = (rules[0]?.approvers ?? []).filter((role) => rules.every((rule) => rule.approvers.includes(role)));
  return approvers.length > 0 ? { quorum, approvers } : undefined;
}
