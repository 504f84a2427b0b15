import type { ObservedUse } from '../observed-use';
import { type Alerted, foldedUntil } from './cooldown';

export interface FirstUseSettings {
  /** From a key's first use on, its users are learnt for this long without an alert. */
  learningSeconds: number;
  /** At most one alert a principal in this time; the first uses between are counted and told with the next. */
  cooldownSeconds: number;
}

/** Who has used a key. */
export interface KeyUsers {
  /** Second of the first use (Unix time). */
  since: number;
  users: string[];
}

export interface FirstUse {
  knownForSeconds: number;
  usedBefore: readonly string[];
  folded: number;
}

/** A key with as many users as this is shared by design: a further one tells nothing. */
export const usersPerKeyMax = 64;

/** Does this use count as one of its key? A refused attempt is not a use, and to manage a key is not to use it. */
export const isKeyUse = (use: ObservedUse): use is ObservedUse & { keyId: string } =>
  use.keyId !== undefined && use.outcome === 'success' && use.action.startsWith('crypto:');

export const newKeyUsers = (timeMs: number): KeyUsers => ({ since: Math.floor(timeMs / 1_000), users: [] });

export const isNewUser = (key: KeyUsers, use: ObservedUse): boolean =>
  key.users.length < usersPerKeyMax && !key.users.includes(use.principal);

/** The first use of a key by somebody (`isNewUser`), in the order of the stream. Changes `key` and `user` in place. */
export function foldFirstUse(key: KeyUsers, user: Alerted, use: ObservedUse, settings: FirstUseSettings): FirstUse | undefined {
  const usedBefore = [...key.users];
  key.users.push(use.principal);
  const second = Math.floor(use.timeMs / 1_000);
  const knownForSeconds = second - key.since;
  if (usedBefore.length === 0 || knownForSeconds < settings.learningSeconds) return undefined;
  const folded = foldedUntil(user, second, settings.cooldownSeconds);
  return folded === undefined ? undefined : { knownForSeconds, usedBefore, folded };
}
