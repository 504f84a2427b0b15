import { z } from 'zod';
import { Algorithm } from './algorithms';
import { ModuleLevel } from './known-tokens';
import { limits } from './limits';
import { Classification, Environment, printable } from './primitives';

const days = (min: number, max: number) => z.int().min(min).max(max);
/** Security strengths of SP 800-57 Part 1 rev. 5, table 2, in bits against a classical attacker. */
export const StrengthBits = z.union([z.literal(112), z.literal(128), z.literal(192), z.literal(256)]);
export type StrengthBits = z.infer<typeof StrengthBits>;

/** What a profile may want said about a key. */
export const SaidOfKey = z.enum(['team', 'contact', 'description']);
export type SaidOfKey = z.infer<typeof SaidOfKey>;

/**
 * The least that keys of an environment and a classification must be: data of the policy bundle. Of all profiles that mean a key the strictest counts,
 * field by field. What is left out asks for nothing.
 */
export const KeyProfile = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'a profile id is 1 to 64 of a-z, 0-9 and -'),
  description: printable(500),
  /** Which keys are meant; all environments, and all classifications, when left out. */
  environments: z.array(Environment).min(1).max(Environment.options.length).optional(),
  classifications: z.array(Classification).min(1).max(Classification.options.length).optional(),
  /** A version is rotated, or deactivated, by itself after so many days; what jitter and window of a schedule add is not counted. */
  rotateWithinDays: days(1, limits.cryptoperiodDaysMax).optional(),
  /** Longest originator usage period (SP 800-57 Part 1 rev. 5 §5.3.4). */
  originatorDaysMax: days(1, limits.cryptoperiodDaysMax).optional(),
  strengthBitsMin: StrengthBits.optional(),
  /** Only these … */
  algorithms: z.array(Algorithm).min(1).max(Algorithm.options.length).optional(),
  /** … and none of these. */
  algorithmsRefused: z.array(Algorithm).min(1).max(Algorithm.options.length).optional(),
  /** Least level of an active validation of every token that has its material (FIPS 140-3), by the records of tokens in the same bundle. */
  moduleLevel: ModuleLevel.optional(),
  /** Shortest wait between the order to delete a key and its destruction. */
  deletionWaitDaysMin: days(limits.deletionWaitDaysMin, limits.deletionWaitDaysMax).optional(),
  /** What must be said about the key (SP 800-57 Part 1 rev. 5 §8.3.5: key inventories). Listed by the inventory; no key is refused for want of it. */
  says: z.array(SaidOfKey).min(1).max(SaidOfKey.options.length).optional(),
  /** The owner certifies the key anew so often (`keys.certify`). Told and listed; a key whose owner does not goes on to be used. */
  recertifyEveryDays: days(1, 3_650).optional(),
  /** How many people approve what cannot be undone. For people to read: the policies ask for it (`@quorum`). */
  approvals: z
    .strictObject({ export: days(1, 10), destroy: days(1, 10) })
    .partial()
    .optional(),
});
export type KeyProfile = z.infer<typeof KeyProfile>;
