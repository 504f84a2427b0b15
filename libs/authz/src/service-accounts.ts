import type { PolicyBundle, Principal, PrincipalOwner } from '@claviger/contracts';

/** Whether somebody answers for a service. `none`: nobody is named. `gone`: who is named is unknown, disabled, or no person. */
export type Ownership = 'owned' | 'none' | 'gone';

export interface ServiceAccount {
  readonly principal: Principal;
  readonly ownership: Ownership;
}

type People = Pick<PolicyBundle, 'principals'> & {
  readonly groups?: readonly { readonly tenant: string; readonly id: string }[] | undefined;
};

/** Principals of kind service, with who answers for them. */
export function serviceAccounts(bundle: People): ServiceAccount[] {
  const people = new Set(bundle.principals.filter(({ kind, disabled }) => kind === 'person' && !disabled).map(({ id }) => id));
  const groups = new Set((bundle.groups ?? []).map(({ tenant, id }) => `group:${tenant}/${id}`));
  const ownership = ({ owner }: Principal): Ownership =>
    owner === undefined ? 'none' : people.has(owner) || groups.has(owner) ? 'owned' : 'gone';
  return bundle.principals.filter(({ kind }) => kind === 'service').map((principal) => ({ principal, ownership: ownership(principal) }));
}

/** What would be without an owner when this person, or this group, leaves: to be handed over or disabled first. */
export const servicesOwnedBy = (bundle: People, owner: PrincipalOwner): Principal[] =>
  serviceAccounts(bundle)
    .filter(({ principal }) => principal.owner === owner)
    .map(({ principal }) => principal);

/** Services that use what they may with nobody to answer for it. One that is disabled uses nothing. */
export const unownedServices = (bundle: People): ServiceAccount[] =>
  serviceAccounts(bundle).filter(({ principal, ownership }) => ownership !== 'owned' && !principal.disabled);

/** Services that are new in `next` and name no owner. Those that were there before stay as they are. */
export const newUnownedServices = (before: People | undefined, next: People): Principal[] => {
  const known = new Set(before?.principals.filter(({ kind }) => kind === 'service').map(({ id }) => id));
  return unownedServices(next)
    .filter(({ principal }) => !known.has(principal.id))
    .map(({ principal }) => principal);
};
