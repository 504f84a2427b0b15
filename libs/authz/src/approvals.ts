import type { Principal } from '@claviger/contracts';
import type { ApprovalRule } from './approval';
import { isSamePerson, nameOfApprovalKey } from './approval-keys';
import type { ProvenApproval } from './approval-proof';

/** Who is who, by the bundle in force: `Evaluator`. */
export interface People {
  principalOf(id: string): Principal | undefined;
  /** Whether it has the role, or is in the group, that an entry of `@approvers` names, at that time. */
  mayApproveAs(id: string, approver: string, nowMs: number): boolean;
  everybody(): Iterable<Principal>;
}

export interface Question {
  readonly rule: ApprovalRule;
  readonly requester: string;
  readonly people: People;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly nowMs: number;
}

export type Count =
  | { readonly satisfied: true; readonly approvers: readonly string[] }
  /** `why` is a sentence for callers. */
  | { readonly satisfied: false; readonly approvers: readonly string[]; readonly why: string };

/** Why the approval of this person does not count, as people and roles are now; undefined when it does. */
export function whyNot(approver: string, { rule, requester, people, nowMs }: Question): string | undefined {
  const person = people.principalOf(approver);
  if (!person) return `${approver} is not in the policy bundle in force`;
  if (person.disabled) return `${approver} is disabled`;
  if (person.kind !== 'person') return `${approver} is a service, and people approve`;
  if (approver === requester) return `${approver} requested it`;
  const asker = people.principalOf(requester);
  if (asker && isSamePerson(person, asker)) return `${approver} is the same person as ${requester}, who requested it`;
  if (!rule.approvers.some((one) => people.mayApproveAs(approver, one, nowMs))) return `${approver} is not ${rule.approvers.join(' or ')}`;
  return undefined;
}

/**
 * Do so many distinct people, who may, approve? One person counts once, under however many names and with however many keys; so does one key. A quorum that is no
 * number of people, or that names nobody, is never reached.
 */
export function countApprovals(proven: readonly ProvenApproval[], question: Question): Count {
  const { rule, people } = question;
  const counted: { principal: Principal; key: string }[] = [];
  const passed: string[] = [];
  for (const { approver, key } of proven) {
    const principal = people.principalOf(approver);
    const no =
      whyNot(approver, question) ??
      (principal?.approvalKeys?.some((one) => nameOfApprovalKey(one) === key)
        ? undefined
        : `the key of ${approver} is in the bundle no more`);
    if (no !== undefined || !principal) passed.push(no as string);
    else if (!counted.some((one) => one.key === key || isSamePerson(one.principal, principal))) counted.push({ principal, key });
  }
  const approvers = counted.map(({ principal }) => principal.id);
  if (!isNumberOfPeople(rule.quorum) || rule.approvers.length === 0)
    return { satisfied: false, approvers, why: 'the policy asks for approval without saying how many approve, or who' };
  if (counted.length >= rule.quorum) return { satisfied: true, approvers };
  const missing = `${counted.length} of ${rule.quorum} approvals by ${rule.approvers.join(' or ')} count`;
  const able = peopleWhoCan(question);
  const tooFew =
    able < rule.quorum ? [`only ${able} people can approve it (enabled, with an approval key, and not ${question.requester})`] : [];
  return { satisfied: false, approvers, why: [missing, ...passed, ...tooFew].join('; ') };
}

/** Distinct people who could approve now: those who may, and have a key to do it with. */
export function peopleWhoCan(question: Question): number {
  const able: Principal[] = [];
  for (const principal of question.people.everybody())
    if (principal.approvalKeys?.length && whyNot(principal.id, question) === undefined && !able.some((one) => isSamePerson(one, principal)))
      able.push(principal);
  return able.length;
}

const isNumberOfPeople = (quorum: unknown): boolean => Number.isSafeInteger(quorum) && (quorum as number) >= 1;
