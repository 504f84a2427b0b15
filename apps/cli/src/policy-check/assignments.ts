import { createHash } from 'node:crypto';
import { membershipsOf, thumbprintOf } from '@claviger/authz';
import { type ApprovalKey, type Grant, groupName, type PolicyBundle, type Principal } from '@claviger/contracts';
import canonicalize from 'canonicalize';

/** Who can do more than before by what the bundle says of people, whatever the policies are. */
export interface AssignmentWidening {
  /** To acknowledge it by. */
  readonly id: string;
}

type People = Pick<PolicyBundle, 'principals' | 'grants' | 'groups'>;

/** People, and what they hold, that `newer` has and `older` does not: roles (also through groups), groups, ways to prove who one is, keys to approve with, what kind of caller one is, grants. */
export function assignmentWidenings(older: People, newer: People): AssignmentWidening[] {
  const [before, after] = [peopleOf(older), peopleOf(newer)];
  const ofPeople = [...after].flatMap(([id, { principal, holds }]) => {
    const was = before.get(id);
    if (principal.disabled) return [];
    const held = was === undefined || was.principal.disabled ? new Set<string>() : was.holds;
    return [...holds].filter((what) => !held.has(what)).map((what) => `${id} gains ${what}`);
  });
  const known = new Map(older.grants.map((grant) => [grant.id, grant]));
  const ofGrants = newer.grants.filter((grant) => !covers(known.get(grant.id), grant)).map(grantText);
  return [...ofPeople, ...ofGrants].map((id) => ({ id }));
}

function peopleOf({ principals, groups = [] }: People): Map<string, { principal: Principal; holds: Set<string> }> {
  const rolesOf = new Map(groups.map((group) => [groupName(group), group.roles]));
  const memberships = membershipsOf(groups);
  return new Map(
    principals.map((principal) => {
      const of = [...memberships(principal.id).keys()];
      const roles = [...principal.roles, ...of.flatMap((name) => rolesOf.get(name) ?? [])];
      const holds = new Set([
        `kind ${principal.kind}`,
        ...roles.map((role) => `role ${role}`),
        ...of.map((name) => `group ${name}`),
        ...principal.identities.map((identity) => `identity ${canonicalize(identity)}`),
        ...(principal.approvalKeys ?? []).map((key) => `approval key ${thumbprint(key)}`),
      ]);
      return [principal.id, { principal, holds }] as const;
    }),
  );
}

/** Of a key of their own its RFC 7638 thumbprint (of an ApprovalJwk all members are required ones); of a credential the hash of all but its label. */
function thumbprint(key: ApprovalKey): string {
  const { label: _, ...credential } = key;
  return key.kind === 'signature' ? thumbprintOf(key.jwk) : hash(credential);
}
const hash = (value: unknown): string => createHash('sha256').update(canonicalize(value)!).digest('base64url');

const grantText = (grant: Grant): string =>
  `${grant.principal} is granted ${'role' in grant ? `role ${grant.role}` : `${grant.action} on ${grant.key}`} by ${grant.id} (${grant.notBefore ?? 'from now'} to ${grant.notAfter ?? 'ever'}) #${hash({ ...grant, revision: undefined }).slice(0, 16)}`;

/** Whether the same was granted before, for at least as long. */
function covers(older: Grant | undefined, newer: Grant): boolean {
  if (older === undefined) return false;
  const rest = ({ notBefore: _, notAfter: __, revision: ___, ...grant }: Grant) => JSON.stringify(Object.entries(grant).sort());
  const [from, until] = [
    (grant: Grant) => Date.parse(grant.notBefore ?? '0000-01-01'),
    (grant: Grant) => Date.parse(grant.notAfter ?? '9999-12-31'),
  ];
  return rest(older) === rest(newer) && from(older) <= from(newer) && until(older) >= until(newer);
}
