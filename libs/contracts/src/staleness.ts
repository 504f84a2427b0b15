import { z } from 'zod';
import { PrincipalId, RoleId } from './primitives';

const days = z.int().min(1).max(3_650);

/** When access that nobody uses is taken away. */
export const Staleness = z
  .strictObject({
    /** After so many days without use its holder is told … */
    noticeDays: days,
    /** … and after so many it is taken away, never sooner after the notice than the difference. */
    removeAfterDays: days,
    /** So many people who hold a role must be left: what would take it from one of the last stays, and is told. */
    keep: z.array(z.strictObject({ role: RoleId, atLeast: z.int().min(1).max(1_000) })).max(20),
    /** Principals that are left alone, such as an account for emergencies. */
    except: z.array(PrincipalId).max(100).optional(),
  })
  .refine(({ noticeDays, removeAfterDays }) => removeAfterDays > noticeDays, 'removeAfterDays must be more than noticeDays');
export type Staleness = z.infer<typeof Staleness>;
