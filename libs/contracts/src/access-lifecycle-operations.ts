import { z } from 'zod';
import { defineOperation } from './operation';
import { GrantId } from './policy-bundle';
import { PrincipalId, printable, RoleId, Timestamp } from './primitives';

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
} as const;
