import type { Identity, PolicyBundle, Principal } from '@claviger/contracts';
import type { ProvenIdentity } from './proof';
import { Refused } from './refusal';

/** Who is who, from one bundle: proven identities to principals. */
export class Registry {
  private readonly principals = new Map<string, Principal>();
  private readonly byIdentity = new Map<string, Principal>();

  constructor(bundle: PolicyBundle) {
    for (const principal of bundle.principals) {
      this.principals.set(principal.id, principal);
      for (const identity of principal.identities) {
        const name = nameOf(identity, principal.id);
        this.byIdentity.set(name, principal);
      }
    }
  }

  /** The enabled principal with this id, if there is one. */
  enabled(id: string): Principal | undefined {
    const principal = this.principals.get(id);
    return principal?.disabled ? undefined : principal;
  }

  /** The principal that has proven to be itself. Throws Refused. */
  principalOf(identity: ProvenIdentity): Principal {
    if (identity.kind === 'token' && !this.principals.has(identity.principal)) throw new Refused('principal-unknown');
    const found = new Set(namesOf(identity).flatMap((name) => this.byIdentity.get(name) ?? []));
    if (found.size > 1) throw new Refused('identity-ambiguous');
    const [principal] = found;
    if (!principal) throw new Refused('identity-unknown', identity.kind === 'token' ? identity.principal : undefined);
    if (principal.disabled) throw new Refused('principal-disabled', principal.id);
    return principal;
  }
}

function nameOf(identity: Identity, principal: string): string {
  switch (identity.kind) {
    case 'token':
      return name('token', principal);
    case 'oidc':
      return name('oidc', identity.issuer, identity.subject);
    case 'spiffe':
      return name('spiffe', identity.id);
    case 'certificate':
      return name('certificate', identity.fingerprint256);
  }
}

function namesOf(identity: ProvenIdentity): string[] {
  switch (identity.kind) {
    case 'token':
      return [name('token', identity.principal)];
    case 'oidc':
      return [name('oidc', identity.issuer, identity.subject)];
    case 'certificate':
      return [...(identity.spiffeId ? [name('spiffe', identity.spiffeId)] : []), name('certificate', identity.fingerprint256)];
  }
}

const name = (...parts: string[]) => JSON.stringify(parts);
