import { z } from 'zod';
import { printable, RoleId } from './primitives';

export const roleConflictsMost = 200;

/** Two roles that nobody may hold at one time, however either comes: separation of duties (NIST SP 800-53 rev. 5 AC-5, AC-6). */
export const RoleConflict = z.strictObject({
  roles: z.tuple([RoleId, RoleId]).refine(([one, other]) => one !== other, 'a role does not conflict with itself'),
  /** Why, in words for whoever is refused. */
  reason: printable(500),
  /** The controls that it serves, such as `NIST-SP-800-53r5:AC-5`. */
  control: printable(256),
});
export type RoleConflict = z.infer<typeof RoleConflict>;
