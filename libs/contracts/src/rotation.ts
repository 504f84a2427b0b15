import { z } from 'zod';
import { limits } from './limits';

export const Weekday = z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']);
export type Weekday = z.infer<typeof Weekday>;
const clock = z.string().regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/, 'a time of day is 00:00 to 23:59');

/** When a rotation may happen: from `from` until just before `to`, which is on the next day where it is not later than `from`. */
export const RotationWindow = z.strictObject({ days: z.array(Weekday).min(1).max(7), from: clock, to: clock });
export type RotationWindow = z.infer<typeof RotationWindow>;

const whenever = {
  /** IANA name; of the cron expression and of the window. */
  timeZone: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/, 'a time zone is a name such as Europe/Berlin')
    .max(64)
    .default('UTC'),
  /** A rotation that falls outside moves to the next opening. */
  window: RotationWindow.optional(),
  /** Each key is rotated later by its own share of this, always the same: keys with one schedule do not all rotate in one second. */
  jitterMinutes: z.int().min(0).max(1_440).default(60),
  /** Rotated at once, whatever the window, when the version has been given the share of encryptions from which on rotation is asked for. */
  onUsageThreshold: z.boolean().default(true),
  /** … when the primary version is marked as compromised. */
  onCompromise: z.boolean().optional(),
  /** … when the key is handed over to another owner. */
  onOwnerChange: z.boolean().optional(),
};

/** When a key is rotated by itself: so many days after its last rotation, or at the times of a cron expression (five fields, at most one time a day). */
export const RotationSchedule = z.union([
  z.strictObject({ everyDays: z.int().min(1).max(limits.cryptoperiodDaysMax), ...whenever }),
  z.strictObject({
    cron: z
      .string()
      .max(100)
      .regex(/^[0-9A-Za-z*,/#? -]+$/, 'a cron expression has the fields minute, hour, day, month and weekday'),
    ...whenever,
  }),
]);
export type RotationSchedule = z.infer<typeof RotationSchedule>;

/** What happens at the end of the originator usage period of a version that was not rotated before: rotate it, protect nothing more with it, or only say so. */
export const AtEnd = z.enum(['rotate', 'deactivate', 'warn']);
export type AtEnd = z.infer<typeof AtEnd>;

/** What happens to a key next by itself. `end-period`: its originator usage period ends, and nothing else happens. `expire-material`: imported material is destroyed. */
export const NextEvent = z.enum(['activate', 'rotate', 'deactivate', 'end-period', 'destroy', 'expire-material']);
export type NextEvent = z.infer<typeof NextEvent>;

/** So many days before the end of the originator usage period, or before a deletion, an event says so. */
export const warningDays = [30, 7, 1] as const;
