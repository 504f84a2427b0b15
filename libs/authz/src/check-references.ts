import type { Identity, PolicyBundle } from '@claviger/contracts';
import type { BundleIssue } from './bundle-issue';
import { unsatisfiable } from './floor';
import type { Policy } from './policy-set';

/** What the shapes cannot say: ids are unique, references lead somewhere, an identity proves to be one principal only, periods are not empty. */
export function checkReferences(bundle: PolicyBundle, policies: readonly Policy[]): BundleIssue[] {
  const issues: BundleIssue[] = [];
  const roles = uniqueIds(bundle.roles, 'roles', issues);
  const principals = uniqueIds(bundle.principals, 'principals', issues);
  uniqueIds(bundle.grants, 'grants', issues);

  const identities = new Map<string, string>();
  bundle.principals.forEach((principal, index) => {
    const where = `principals.${index} (${principal.id})`;
    for (const role of principal.roles)
      if (!roles.has(role)) issues.push({ where, message: `has the role ${role}, which is not in roles` });
    for (const identity of principal.identities) {
      const name = identityName(identity);
      const other = name === undefined ? undefined : identities.get(name);
      if (other !== undefined) issues.push({ where, message: `has the same ${identity.kind} identity as ${other}` });
      if (name !== undefined) identities.set(name, principal.id);
    }
  });

  bundle.grants.forEach((grant, index) => {
    const where = `grants.${index} (${grant.id})`;
    if (!principals.has(grant.principal)) issues.push({ where, message: `is for ${grant.principal}, who is not in principals` });
    if ('role' in grant && !roles.has(grant.role)) issues.push({ where, message: `grants the role ${grant.role}, which is not in roles` });
    if (grant.notBefore !== undefined && grant.notAfter !== undefined && Date.parse(grant.notBefore) >= Date.parse(grant.notAfter)) {
      issues.push({ where, message: 'is never in force: notAfter is not later than notBefore' });
    }
  });

  for (const { id, approval } of policies) {
    if (approval.kind !== 'asked') continue;
    for (const role of approval.approvers) {
      if (!roles.has(role)) issues.push({ where: `policy ${id}`, message: `@approvers names ${role}, which is not in roles` });
    }
  }
  uniqueIds(bundle.profiles ?? [], 'profiles', issues);
  uniqueIds(
    (bundle.tokens ?? []).map(({ label }) => ({ id: label })),
    'tokens',
    issues,
  );
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
