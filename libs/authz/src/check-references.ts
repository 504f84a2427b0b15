import { contextActions, groupIn, groupName, type Identity, type PolicyBundle } from '@claviger/contracts';
import { isUnnamed, nameOfApprovalKey, publicKeyOf } from './approval-keys';
import type { BundleIssue } from './bundle-issue';
import { checkElevations } from './check-elevations';
import { checkQuotas } from './check-quotas';
import { unsatisfiable } from './floor';
import { membershipCycle } from './memberships';
import type { Policy } from './policy-set';
import { each, type Work } from './steps';

const checkedTogether = 100;

/** What the shapes cannot say: ids are unique, references lead somewhere, an identity proves to be one principal only, periods are not empty. */
export function* checkingReferences(bundle: PolicyBundle, policies: readonly Policy[]): Work<BundleIssue[]> {
  const issues: BundleIssue[] = [];
  const roles = uniqueIds(bundle.roles, 'roles', issues);
  const principals = uniqueIds(bundle.principals, 'principals', issues);
  uniqueIds(bundle.grants, 'grants', issues);

  const identities = new Map<string, string>();
  const approvalKeys = new Map<string, string>();
  yield* each(bundle.principals, checkedTogether, (principal, index) => {
    const where = `principals.${index} (${principal.id})`;
    for (const role of principal.roles)
      if (!roles.has(role)) issues.push({ where, message: `has the role ${role}, which is not in roles` });
    for (const identity of principal.identities) {
      const name = identityName(identity);
      const other = name === undefined ? undefined : identities.get(name);
      if (other !== undefined) issues.push({ where, message: `has the same ${identity.kind} identity as ${other}` });
      if (name !== undefined) identities.set(name, principal.id);
    }
    if (principal.approvalKeys?.length && principal.kind !== 'person')
      issues.push({ where, message: 'is a service and has approval keys: people approve' });
    if (principal.approvalKeys?.length && isUnnamed(principal))
      issues.push({ where, message: 'has approval keys and an OIDC identity without a subject: who approves is one person, by a subject' });
    for (const [at, key] of (principal.approvalKeys ?? []).entries()) {
      if (!publicKeyOf(key))
        issues.push({ where: `${where}.approvalKeys.${at}`, message: 'is no public key of P-256, Ed25519 or RSA (2,048 bits or more)' });
      const name = nameOfApprovalKey(key);
      const other = approvalKeys.get(name);
      if (other !== undefined) issues.push({ where, message: `has the same approval key as ${other}: one key is one person's` });
      approvalKeys.set(name, principal.id);
    }
  });

  yield* each(bundle.grants, checkedTogether, (grant, index) => {
    const where = `grants.${index} (${grant.id})`;
    if (!principals.has(grant.principal)) issues.push({ where, message: `is for ${grant.principal}, who is not in principals` });
    if ('role' in grant && !roles.has(grant.role)) issues.push({ where, message: `grants the role ${grant.role}, which is not in roles` });
    if ('action' in grant && grant.context && !contextActions.has(grant.action))
      issues.push({ where, message: `names an encryption context, which ${grant.action} does not have` });
    if (grant.notBefore !== undefined && grant.notAfter !== undefined && Date.parse(grant.notBefore) >= Date.parse(grant.notAfter)) {
      issues.push({ where, message: 'is never in force: notAfter is not later than notBefore' });
    }
  });

  const groups = new Set((bundle.groups ?? []).map(groupName));
  uniqueIds(
    (bundle.groups ?? []).map((group) => ({ id: groupName(group) })),
    'groups',
    issues,
  );
  yield* each(bundle.groups ?? [], checkedTogether, (group, index) => {
    const where = `groups.${index} (${groupName(group)})`;
    for (const role of group.roles) if (!roles.has(role)) issues.push({ where, message: `gives the role ${role}, which is not in roles` });
    for (const member of group.members) {
      const name = groupIn(member);
      if (name === undefined ? !principals.has(member) : !groups.has(name))
        issues.push({ where, message: `has the member ${member}, who is not in ${name === undefined ? 'principals' : 'groups'}` });
    }
  });
  const cycle = yield* membershipCycle(bundle.groups ?? []);
  if (cycle) issues.push({ where: 'groups', message: `a group is a member of itself: ${cycle.join(' has ')}` });

  for (const [index, { roles: pair }] of (bundle.conflicts ?? []).entries())
    for (const role of pair)
      if (!roles.has(role)) issues.push({ where: `conflicts.${index}`, message: `names the role ${role}, which is not in roles` });

  for (const { role } of bundle.staleness?.keep ?? [])
    if (!roles.has(role)) issues.push({ where: 'staleness.keep', message: `names the role ${role}, which is not in roles` });
  for (const id of bundle.staleness?.except ?? [])
    if (!principals.has(id)) issues.push({ where: 'staleness.except', message: `names ${id}, who is not in principals` });

  for (const { id, approval } of policies) {
    if (approval.kind !== 'asked') continue;
    for (const approver of approval.approvers) {
      const name = groupIn(approver);
      if (name === undefined ? !roles.has(approver) : !groups.has(name))
        issues.push({
          where: `policy ${id}`,
          message: `@approvers names ${approver}, which is not in ${name === undefined ? 'roles' : 'groups'}`,
        });
    }
  }
  issues.push(...checkElevations(bundle, roles));
  uniqueIds(bundle.profiles ?? [], 'profiles', issues);
  uniqueIds(bundle.packs ?? [], 'packs', issues);
  uniqueIds(
    (bundle.tokens ?? []).map(({ label }) => ({ id: label })),
    'tokens',
    issues,
  );
  issues.push(...checkQuotas(bundle, roles, principals));
  for (const message of unsatisfiable(bundle.profiles ?? [])) issues.push({ where: 'profiles', message });
  return issues;
}

function uniqueIds(items: readonly { id: string }[], where: string, issues: BundleIssue[]): Set<string> {
  const ids = new Set<string>();
  items.forEach(({ id }, index) => {
    if (ids.has(id)) issues.push({ where: `${where}.${index}`, message: `the id ${id} is used twice` });
    ids.add(id);
  });
  return ids;
}

/** Undefined for `token`: such an identity is the principal's own id. */
function identityName(identity: Identity): string | undefined {
  switch (identity.kind) {
    case 'token':
      return undefined;
    case 'oidc':
      return JSON.stringify([
        'oidc',
        identity.issuer,
        identity.subject ?? null,
        ...Object.entries(identity.claims ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
      ]);
    case 'spiffe':
      return JSON.stringify(['spiffe', identity.id]);
    case 'certificate':
      return JSON.stringify(['certificate', identity.fingerprint256]);
  }
}
