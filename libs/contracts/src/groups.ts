import { z } from 'zod';
import { PrincipalId, principalPattern, printable, RoleId } from './primitives';

export const groupLimits = { groups: 1_000, members: 2_000, roles: 32 } as const;

const slug = '[a-z0-9][a-z0-9-]{0,63}';
/** A tenant is whoever a group belongs to: an organisation, a unit, a customer. */
export const Tenant = z.string().regex(principalPattern, 'a tenant is 1 to 64 of a-z, 0-9 and -');
/** `tenant/id`: two groups of one id in two tenants are two groups. */
export const GroupName = z.string().regex(new RegExp(`^${slug}/${slug}$`), 'a group is named tenant/id, each 1 to 64 of a-z, 0-9 and -');

/** What names a group where a principal or a role could stand as well: neither can hold a colon. */
export const groupPrefix = 'group:';
export const GroupRef = z.string().regex(new RegExp(`^${groupPrefix}${slug}/${slug}$`), 'a group is referred to as group:tenant/id');
/** The group that a reference names; undefined for anything else. */
export const groupIn = (reference: string): string | undefined =>
  reference.startsWith(groupPrefix) ? reference.slice(groupPrefix.length) : undefined;

/** Who belongs together. Members of a member group are members; whoever is one holds the roles. */
export const Group = z.strictObject({
  id: z.string().regex(principalPattern, 'a group id is 1 to 64 of a-z, 0-9 and -'),
  tenant: Tenant,
  description: printable(500).optional(),
  /** Principal ids, and groups as `group:tenant/id`. */
  members: z.array(z.union([PrincipalId, GroupRef])).max(groupLimits.members),
  roles: z.array(RoleId).max(groupLimits.roles),
  revision: z.int().min(1),
});
export type Group = z.infer<typeof Group>;

export const groupName = ({ tenant, id }: Pick<Group, 'tenant' | 'id'>): string => `${tenant}/${id}`;
