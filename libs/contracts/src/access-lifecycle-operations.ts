import { z } from 'zod';
import { defineOperation } from './operation';
import { GrantId } from './policy-bundle';
import { PrincipalId, printable, RoleId, Timestamp } from './primitives';
import { AssignmentId } from './review-operations';

/** What is done about access when people leave, and what nobody uses. */
export const accessLifecycleOperations = {
  offboard: defineOperation({
    name: 'access.offboard',
    action: 'access:Offboard',
    summary:
      'Disable a principal and take from it its roles, groups and grants in one publication, end its sessions, and give the service accounts that it answers for to `to`. Of somebody who is gone already nothing is changed.',
    retry: 'safe',
    input: { principal: PrincipalId, to: PrincipalId.optional(), reason: printable(500) },
    result: z.strictObject({
      principal: PrincipalId,
      /** Of the bundle in force now. */
      revision: z.int(),
      /** False where it was so already. */
      changed: z.boolean(),
      roles: z.array(RoleId),
      /** Names. */
      groups: z.array(z.string()),
      grants: z.array(GrantId),
      sessionsEnded: z.int(),
      /** Service accounts that `to` answers for from now on … */
      servicesHandedOver: z.array(PrincipalId),
      /** … and those that it answers for still, since nobody was named. */
      servicesOwned: z.array(PrincipalId),
      at: Timestamp,
    }),
  }),
  listUnused: defineOperation({
    name: 'access.list-unused',
    action: 'access:ReadUnused',
    summary:
      'Principals that do not come any more, and access that nobody uses, with when it is taken away; by principal, a page at a time.',
    retry: 'safe',
    input: { after: PrincipalId.optional(), limit: z.int().min(1).max(500).default(500) },
    result: z.strictObject({
      /** Absent where the policies take nothing away. */
      noticeDays: z.int().optional(),
      removeAfterDays: z.int().optional(),
      unused: z.array(
        z.strictObject({
          principal: PrincipalId,
          /** Absent: it does not come any more, and is disabled. */
          assignment: AssignmentId.optional(),
          /** When it was last used, or else first seen. */
          since: Timestamp,
          /** When its holder was told. */
          noticedAt: Timestamp.optional(),
          removalAt: Timestamp,
          /** It stays, since too few would be left with the role. */
          kept: z.boolean(),
        }),
      ),
      /** Principals that were looked at. */
      watched: z.int(),
      /** Where the next page begins. */
      next: PrincipalId.optional(),
    }),
  }),
} as const;
