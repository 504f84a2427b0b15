import { createHash } from 'node:crypto';
import {
  type Action,
  type EncryptionContext,
  type Grant,
  groupName,
  type PolicyBundle,
  type Principal,
  type Role,
} from '@claviger/contracts';
import canonicalize from 'canonicalize';
import { satisfiesContext } from './grant-context';
import { membershipsOf } from './memberships';
import { ascending } from './thresholds';

/** A principal with everything that the bundle says about it. */
export interface Subject {
  readonly principal: Principal;
  /** SHA-256 (base64url) over the principal, its grants, the groups that it is in and all the roles that these name: revisions and content alike. */
  readonly digest: string;
  /** How many boundaries of its grants have passed: two instants with the same number see the same grants. */
  periodAt(nowMs: number): number;
  /** Names of the groups that it is in, directly or through member groups. */
  readonly groups: readonly string[];
  /** Role ids in force: its own, those of its groups and those granted for the time. */
  rolesAt(nowMs: number): string[];
  /** Whether a grant in force names this action and key, and holds for this encryption context. */
  isGranted(action: Action, keyId: string, nowMs: number, encryptionContext?: EncryptionContext): boolean;
  /** Its grants of limited use, which give it nothing by themselves: whoever honours one counts a use. */
  readonly limited: readonly LimitedGrant[];
  /** The same subject, where of those these give what they grant. */
  having(grants: readonly LimitedGrant[]): Subject;
}

export type LimitedGrant = Grant & { readonly uses: number };
const isLimited = (grant: Grant): grant is LimitedGrant => grant.uses !== undefined;

/** Of grants that were counted, those that the bundle in force still has, as it has them: a bundle may have taken one away or narrowed it meanwhile. */
export function stillGranted({ limited }: Subject, counted: readonly LimitedGrant[]): readonly LimitedGrant[] {
  if (counted.length === 0) return counted;
  const ids = new Set(counted.map(({ id }) => id));
  return limited.filter(({ id }) => ids.has(id));
}

/** Those that are in force and can matter to this action with this key (undefined: with none), those that end first before others. */
export function limitedGrantsFor({ limited }: Subject, action: Action, keyId: string | undefined, nowMs: number): readonly LimitedGrant[] {
  if (limited.length === 0) return limited;
  const ends = (grant: Grant) => periodOf(grant).until;
  return limited
    .filter(
      (grant) =>
        ('role' in grant || (grant.action === action && grant.key === keyId)) && inForce({ ...grant, period: periodOf(grant) }, nowMs),
    )
    .sort((a, b) => ends(a) - ends(b) || (a.id < b.id ? -1 : 1));
}

/** Finds subjects by principal id; each is put together once, when it is first asked for. */
export function subjectsOf(
  bundle: Pick<PolicyBundle, 'principals' | 'roles' | 'grants' | 'groups'>,
): (principalId: string) => Subject | undefined {
  const principals = new Map(bundle.principals.map((principal) => [principal.id, principal]));
  const roles = new Map(bundle.roles.map((role) => [role.id, role]));
  const grants = Map.groupBy(bundle.grants, (grant) => grant.principal);
  const groupRoles = new Map((bundle.groups ?? []).map((group) => [groupName(group), group.roles]));
  const groupsOf = membershipsOf(bundle.groups ?? []);
  const known = new Map<string, Subject>();
  return (principalId) => {
    const found = known.get(principalId);
    if (found) return found;
    const principal = principals.get(principalId);
    if (!principal) return undefined;
    const groups = [...groupsOf(principalId).keys()].sort().map((name) => ({ name, roles: groupRoles.get(name) ?? [] }));
    const subject = subjectOf(principal, groups, grants.get(principalId) ?? [], roles);
    known.set(principalId, subject);
    return subject;
  };
}

interface Period {
  readonly from: number;
  /** Exclusive. */
  readonly until: number;
}
type Timed = Grant & { readonly period: Period };

interface HeldGroup {
  readonly name: string;
  readonly roles: readonly string[];
}

function subjectOf(principal: Principal, groups: readonly HeldGroup[], all: readonly Grant[], roles: ReadonlyMap<string, Role>): Subject {
  const grants = all.filter((grant) => !isLimited(grant));
  const variants = new Map<string, Subject>();
  const standing = [...new Set([...principal.roles, ...groups.flatMap((group) => group.roles)])];
  const timed: Timed[] = grants.map((grant) => ({ ...grant, period: periodOf(grant) }));
  const boundaries = ascending(timed.flatMap(({ period }) => [period.from, period.until]).filter(Number.isFinite));
  const roleGrants = timed.filter((grant) => 'role' in grant);
  const keyGrants = timed.filter((grant) => 'action' in grant);
  const named = [...standing, ...roleGrants.map((grant) => grant.role)].map((id) => roles.get(id) ?? { id });
  return {
    principal,
    digest: createHash('sha256')
      .update(canonicalize({ principal, groups, grants, roles: named })!)
      .digest('base64url'),
    groups: groups.map(({ name }) => name),
    periodAt: (nowMs) => {
      let passed = 0;
      while (passed < boundaries.length && boundaries[passed]! <= nowMs) passed += 1;
      return passed;
    },
    rolesAt: (nowMs) => [...new Set([...standing, ...roleGrants.filter((grant) => inForce(grant, nowMs)).map((grant) => grant.role)])],
    limited: all.filter(isLimited),
    having: (chosen) => {
      // By content: the same id may have granted something else.
      const name = canonicalize(chosen)!;
      let variant = variants.get(name);
      if (!variant) {
        // Its digest has them, so a decision made with them is remembered as such.
        const given = chosen.map(({ uses: _, ...grant }) => grant as Grant);
        variant = subjectOf(principal, groups, [...grants, ...given], roles);
        variants.set(name, variant);
      }
      return variant;
    },
    isGranted: (action, keyId, nowMs, encryptionContext) =>
      keyGrants.some(
        (grant) =>
          grant.action === action && grant.key === keyId && inForce(grant, nowMs) && satisfiesContext(grant.context, encryptionContext),
      ),
  };
}

function periodOf(grant: Grant): Period {
  return {
    from: grant.notBefore === undefined ? Number.NEGATIVE_INFINITY : Date.parse(grant.notBefore),
    until: grant.notAfter === undefined ? Number.POSITIVE_INFINITY : Date.parse(grant.notAfter),
  };
}

const inForce = ({ period }: Timed, nowMs: number): boolean => period.from <= nowMs && nowMs < period.until;
