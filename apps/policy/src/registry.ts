import type { Identity, OidcIdentity, PolicyBundle, Principal } from '@claviger/contracts';
import { claimsMatch } from './claim-match';
import type { ProvenIdentity } from './proof';
import { Refused } from './refusal';

/** Who is who, from one bundle: proven identities to principals. */
export class Registry {
  private readonly principals = new Map<string, Principal>();
  private readonly byIdentity = new Map<string, Principal>();
  /** By issuer and subject, and by the issuer alone where only claims say who it is. */
  private readonly oidc = new Map<string, { identity: OidcIdentity; principal: Principal }[]>();

  constructor(bundle: PolicyBundle) {
    for (const principal of bundle.principals) {
      this.principals.set(principal.id, principal);
      for (const identity of principal.identities) {
        if (identity.kind === 'oidc') this.addOidc(identity, principal);
        else this.byIdentity.set(nameOf(identity, principal.id), principal);
      }
    }
  }

  /** Whether there is such a principal, disabled ones among them. */
  knows(id: string): boolean {
    return this.principals.has(id);
  }

  /** The enabled principal with this id, if there is one. */
  enabled(id: string): Principal | undefined {
    const principal = this.principals.get(id);
    return principal?.disabled ? undefined : principal;
  }

  /** The principal that has proven to be itself. Throws Refused. */
  principalOf(identity: ProvenIdentity): Principal {
    if (identity.kind === 'token' && !this.principals.has(identity.principal)) throw new Refused('principal-unknown');
    const found = new Set(identity.kind === 'oidc' ? this.byClaims(identity) : this.byName(identity));
    if (found.size > 1) throw new Refused('identity-ambiguous');
    const [principal] = found;
    if (!principal) throw new Refused('identity-unknown', identity.kind === 'token' ? identity.principal : undefined);
    if (principal.disabled) throw new Refused('principal-disabled', principal.id);
    return principal;
  }

  private addOidc(identity: OidcIdentity, principal: Principal): void {
    const name = oidcName(identity.issuer, identity.subject);
    this.oidc.set(name, [...(this.oidc.get(name) ?? []), { identity, principal }]);
  }

  private byName(identity: Exclude<ProvenIdentity, { kind: 'oidc' }>): Principal[] {
    return namesOf(identity).flatMap((name) => this.byIdentity.get(name) ?? []);
  }

  private byClaims({ issuer, subject, claims }: ProvenIdentity & { kind: 'oidc' }): Principal[] {
    return [oidcName(issuer, subject), oidcName(issuer)]
      .flatMap((name) => this.oidc.get(name) ?? [])
      .filter(({ identity }) => claimsMatch(identity.claims, claims))
      .map(({ principal }) => principal);
  }
}

function nameOf(identity: Exclude<Identity, { kind: 'oidc' }>, principal: string): string {
  switch (identity.kind) {
    case 'token':
      return name('token', principal);
    case 'spiffe':
      return name('spiffe', identity.id);
    case 'certificate':
      return name('certificate', identity.fingerprint256);
  }
}

function namesOf(identity: Exclude<ProvenIdentity, { kind: 'oidc' }>): string[] {
  switch (identity.kind) {
    case 'token':
      return [name('token', identity.principal)];
    case 'spiffe':
      return [name('spiffe', identity.spiffeId)];
    case 'certificate':
      return [...(identity.spiffeId ? [name('spiffe', identity.spiffeId)] : []), name('certificate', identity.fingerprint256)];
  }
}

const oidcName = (issuer: string, subject?: string) => (subject === undefined ? name('oidc', issuer) : name('oidc', issuer, subject));
const name = (...parts: string[]) => JSON.stringify(parts);
