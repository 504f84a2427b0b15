import { type CompiledPolicies, claviger, type Decision, decideQuestion } from '@claviger/authz';
import { actionTable, type Group, type PolicyBundle, type Principal } from '@claviger/contracts';
import type { PolicyTest, TestPerson } from './test-file';

export interface TestOutcome {
  readonly name: string;
  readonly place: string;
  readonly action: string;
  /** Why it failed; undefined when it holds. */
  readonly failure?: string;
  /** Policies that decided. */
  readonly policies: readonly string[];
}

/** Puts each test to the policies, with its people in place of those of the bundle. */
export function runTests(tests: readonly PolicyTest[], bundle: PolicyBundle, compiled: CompiledPolicies): TestOutcome[] {
  return tests.map((test) => {
    const { name, place, action } = test;
    const asked = questionOf(test, bundle);
    if (typeof asked === 'string') return { name, place, action, failure: asked, policies: [] };
    const decided = decideQuestion(bundle, compiled, asked);
    const failure = differs(test.expect, decided);
    return { name, place, action, policies: decided.policyIds, ...(failure === undefined ? {} : { failure }) };
  });
}

type Question = Parameters<typeof decideQuestion>[2];

/** Why it cannot be asked, or the question. */
function questionOf({ principal: who, action, key, context }: PolicyTest, bundle: PolicyBundle): Question | string {
  const { method, time, granted, newOwner: next, ...rest } = context;
  const principal = personOf(who, bundle);
  if (principal === undefined) return `${who} is not in principals.json`;
  const newOwner = next === undefined ? undefined : personOf(next, bundle);
  if (next !== undefined && newOwner === undefined) return `${next} is not in principals.json`;
  const { id: keyId, createdBy, residency, ...attrs } = key;
  const grant = { id: 'of-the-test', principal: principal.id, action, key: keyId, revision: 1 };
  return {
    principal,
    action,
    resource:
      actionTable[action] === 'System'
        ? claviger
        : {
            type: 'Key',
            id: keyId,
            revision: 1,
            attrs: { ...attrs, ...(createdBy ? { createdBy } : {}), ...(residency ? { residency } : {}) },
          },
    context: { mfa: rest.mfa, authMethod: method, nowMs: Date.parse(time), ...only(rest) },
    ...(newOwner === undefined ? {} : { newOwner }),
    // Of somebody of the bundle, what the bundle grants as well.
    grants: [...(typeof who === 'string' ? bundle.grants.filter((one) => one.principal === who) : []), ...(granted ? [grant] : [])],
    groups: groupsWith([who, next], bundle.groups ?? []),
  };
}

const only = ({
  acr,
  sessionAgeSeconds,
  encryptionContext,
}: Pick<PolicyTest['context'], 'acr' | 'sessionAgeSeconds' | 'encryptionContext'>) => ({
  ...(acr === undefined ? {} : { acr }),
  ...(sessionAgeSeconds === undefined ? {} : { sessionAgeSeconds }),
  ...(encryptionContext === undefined ? {} : { encryptionContext }),
});

function personOf(who: string | TestPerson, { principals }: PolicyBundle): Principal | undefined {
  if (typeof who === 'string') return principals.find(({ id }) => id === who);
  const { id, kind, roles, disabled } = who;
  return { id, kind, roles, disabled, revision: 1, identities: [] };
}

/** The groups of the bundle with those people in them who the test says are; groups that it names only are there too. */
function groupsWith(people: readonly (string | TestPerson | undefined)[], groups: readonly Group[]): Group[] {
  let all = [...groups];
  for (const who of people) {
    if (who === undefined || typeof who === 'string') continue;
    for (const name of who.groups) {
      const [tenant, id] = name.split('/') as [string, string];
      const known = all.find((group) => group.tenant === tenant && group.id === id) ?? { tenant, id, members: [], roles: [], revision: 1 };
      all = [...all.filter((group) => group !== known), { ...known, members: [...known.members, who.id] }];
    }
  }
  return all;
}

function differs(expected: PolicyTest['expect'], decided: Decision): string | undefined {
  const { decision, policies, quorum, approvers } = { policies: undefined, quorum: undefined, approvers: undefined, ...expected };
  if (decided.kind !== decision) return `expected ${decision}, and it is ${decided.kind}: ${decided.reason}`;
  // Others may decide the same: those of a regulation pack beside these, for one.
  if (policies !== undefined && !policies.every((id) => decided.policyIds.includes(id)))
    return `expected to be decided by ${policies.join(', ')}, and it is by ${decided.policyIds.join(', ') || 'none'}`;
  if (decided.kind !== 'needs-approval') return undefined;
  if (quorum !== undefined && quorum !== decided.quorum) return `expected a quorum of ${quorum}, and it is ${decided.quorum}`;
  if (approvers !== undefined && !sameNames(approvers, decided.approvers))
    return `expected the approvers ${approvers.join(', ')}, and they are ${decided.approvers.join(', ')}`;
  return undefined;
}

const sameNames = (a: readonly string[], b: readonly string[]): boolean => [...a].sort().join(' ') === [...b].sort().join(' ');
