import { isDeepStrictEqual } from 'node:util';
import { type Floor, type Shortfall, shortfalls } from '@claviger/authz';
import { cryptoperiods, ProblemError, type RotationSchedule } from '@claviger/contracts';
import type { Key, NewKey } from './key';
import { planned, protectsAtMostDays } from './key-dates';

/** What a profile's `rotateWithinDays` becomes for a key of which nobody said when it is rotated. */
const everyDays = (days: number): RotationSchedule => ({ everyDays: days, timeZone: 'UTC', jitterMinutes: 60, onUsageThreshold: true });

/** A new key of which nobody said how long a version is used, or when it is rotated, gets what its profile asks for. What was said is left as it is. */
export function withDefaults<K extends Omit<NewKey, 'keyId'>>(about: K, { originatorDaysMax, rotateWithinDays }: Floor): K {
  const cryptoperiod = about.cryptoperiod ?? within(cryptoperiods[about.usage], originatorDaysMax?.value);
  const days = rotateWithinDays?.value;
  const ended = about.schedule !== undefined || days === undefined || endsBy(about.atEnd, cryptoperiod.originatorDays, days);
  if (ended) return { ...about, cryptoperiod };
  if (about.origin !== 'external') return { ...about, cryptoperiod, schedule: everyDays(days) };
  // Nobody here can rotate it: in time it protects nothing more, unless whoever has its material has imported another.
  return { ...about, cryptoperiod: about.cryptoperiod ?? within(cryptoperiod, days), atEnd: about.atEnd ?? 'deactivate' };
}

/** The same for a key whose schedule was taken away, or whose classification changed. The revision stays. */
export function withRotation(of: Key, { rotateWithinDays, originatorDaysMax }: Floor, now: string): Key {
  const days = rotateWithinDays?.value;
  const usual = isDeepStrictEqual(of.cryptoperiod, cryptoperiods[of.usage])
    ? within(of.cryptoperiod, originatorDaysMax?.value)
    : of.cryptoperiod;
  const key = usual.originatorDays === of.cryptoperiod.originatorDays ? of : { ...of, cryptoperiod: usual };
  if (days === undefined || key.rotation || endsBy(key.atEnd, key.cryptoperiod.originatorDays, days)) return key;
  if (key.origin === 'external') return { ...key, cryptoperiod: within(key.cryptoperiod, days), atEnd: 'deactivate' };
  return planned({ ...key, rotation: { schedule: everyDays(days) } }, now);
}

const endsBy = (atEnd: Key['atEnd'], originatorDays: number, days: number) =>
  (atEnd === 'rotate' || atEnd === 'deactivate') && originatorDays <= days;

const within = (period: NonNullable<NewKey['cryptoperiod']>, most = Number.POSITIVE_INFINITY) => ({
  ...period,
  originatorDays: Math.min(period.originatorDays, most),
});

/** In what a key is less than its floor. */
export function shortfallsOf(key: Key, floor: Floor): Shortfall[] {
  const days = protectsAtMostDays(key);
  return shortfalls({ ...key, ...(days === undefined ? {} : { protectsAtMostDays: days }) }, floor);
}

/** Throws ERR_BELOW_FLOOR, which names each profile and its number. */
export function assertNotBelow(key: Key, floor: Floor): void {
  refuse(key, shortfallsOf(key, floor));
}

/** As `assertNotBelow`, of how long a version is used alone: what was below before, such as the algorithm, does not stop a better rotation. */
export function assertRotationNotBelow(key: Key, floor: Floor): void {
  refuse(
    key,
    shortfallsOf(key, floor).filter(({ what }) => what === 'rotateWithinDays' || what === 'originatorDaysMax'),
  );
}

/** Throws ERR_BELOW_FLOOR. */
export function assertWait(key: Key, waitDays: number, { deletionWaitDaysMin }: Floor): void {
  if (!deletionWaitDaysMin || waitDays >= deletionWaitDaysMin.value) return;
  throw new ProblemError(
    'ERR_BELOW_FLOOR',
    `Profile ${deletionWaitDaysMin.profile} asks that the deletion of ${kindOf(key)} waits for ${deletionWaitDaysMin.value} days at least.`,
  );
}

/** Material that is destroyed while its key stays is destroyed no sooner than the key would be. Throws ERR_BELOW_FLOOR. */
export function assertMaterialWait(key: Key, days: number, { deletionWaitDaysMin }: Floor): void {
  if (!deletionWaitDaysMin || days >= deletionWaitDaysMin.value) return;
  const { profile, value } = deletionWaitDaysMin;
  throw new ProblemError(
    'ERR_BELOW_FLOOR',
    `Profile ${profile} asks that the material of ${kindOf(key)} stays for ${value} days at least: schedule the deletion of the key, or have it expire later.`,
  );
}

function refuse(key: Key, found: readonly Shortfall[]): void {
  if (found.length === 0) return;
  const whys = found.map(({ profile, why }) => `profile ${profile}: ${why}`);
  throw new ProblemError('ERR_BELOW_FLOOR', `For ${kindOf(key)}, ${whys.join('; ')}.`);
}

const kindOf = ({ classification, environment }: Pick<Key, 'classification' | 'environment'>) => `a ${classification} ${environment} key`;
