import { limits, ProblemError, type RegisteredData } from '@claviger/contracts';
import type { Key } from './key';
import { primaryOf } from './key-dates';

/** Throws ERR_KEY_PROTECTED. */
export function assertDeletable(key: Key, nowMs: number): void {
  if (key.purgeProtected)
    throw new ProblemError('ERR_KEY_PROTECTED', 'The key is protected against deletion: have a security officer lift that first.');
  const [data, ...others] = dataInForce(key, nowMs);
  if (!data) return;
  const more = others.length === 0 ? '' : `, and ${others.length} more`;
  throw new ProblemError('ERR_KEY_PROTECTED', `Only this key opens ${data.name} (registered by ${data.by})${more}: unregister it first.`);
}

/** One whose deletion is scheduled is to be kept first: a protection that came too late would be believed. */
export function protectKey(key: Key): Key {
  refuseDestroyed(key);
  refuseWhileDeleting(key);
  const ends = key.versions.find(({ material, imported }) => material !== undefined && imported?.expiresAt !== undefined);
  if (ends && !key.purgeProtected)
    throw new ProblemError('ERR_KEY_STATE', `The material of version ${ends.version} expires: import the same without an end first.`);
  return key.purgeProtected ? key : { ...key, revision: key.revision + 1, purgeProtected: true };
}

export function unprotectKey(key: Key): Key {
  refuseDestroyed(key);
  if (!key.purgeProtected) return key;
  const { purgeProtected: _, ...rest } = key;
  return { ...rest, revision: key.revision + 1 };
}

/**
 * Said again it counts from now, with the end that it is given now, which may be sooner: so only by who said it, or the key's owner. What has ended makes
 * room. Throws ERR_MALFORMED_REQUEST, ERR_KEY_STATE, ERR_KEY_PENDING_DELETION, ERR_KEY_PROTECTED.
 */
export function registerData(key: Key, data: { name: string; by: string; until?: string | undefined }, nowMs: number): Key {
  refuseDestroyed(key);
  // One that came too late would be believed.
  refuseWhileDeleting(key);
  const { name, by, until } = data;
  if (until !== undefined && Date.parse(until) <= nowMs)
    throw new ProblemError('ERR_MALFORMED_REQUEST', 'The end of a registration lies ahead; leave it out for good.');
  assertTheirs(key, name, by, nowMs);
  const others = dataInForce(key, nowMs).filter((one) => one.name !== name);
  if (others.length >= limits.dataPerKey)
    throw new ProblemError(
      'ERR_KEY_STATE',
      `A key is registered for at most ${limits.dataPerKey} names of data: register what they are part of.`,
    );
  const registered = { name, by, at: new Date(nowMs).toISOString(), ...(until === undefined ? {} : { until }) };
  return { ...key, revision: key.revision + 1, data: [...others, registered] };
}

/** Also what has ended goes. By who registered it, or the key's owner: throws ERR_KEY_PROTECTED for others. */
export function unregisterData(key: Key, { name, by }: { name: string; by: string }, nowMs: number): Key {
  refuseDestroyed(key);
  if (!key.data?.some((one) => one.name === name)) return key;
  assertTheirs(key, name, by, nowMs);
  const { data: _, ...rest } = key;
  const left = dataInForce(key, nowMs).filter((one) => one.name !== name);
  return { ...rest, revision: key.revision + 1, ...(left.length === 0 ? {} : { data: left }) };
}

/** What is registered and has not ended. */
export const dataInForce = (key: Pick<Key, 'data'>, nowMs: number): RegisteredData[] =>
  (key.data ?? []).filter(({ until }) => until === undefined || Date.parse(until) > nowMs);

/** One of several consumers must not end what another keeps. */
function assertTheirs(key: Key, name: string, by: string, nowMs: number): void {
  const registered = dataInForce(key, nowMs).find((one) => one.name === name);
  if (registered && registered.by !== by && key.owner !== by)
    throw new ProblemError('ERR_KEY_PROTECTED', `${name} was registered by ${registered.by}: they change that, or the owner of the key.`);
}

function refuseWhileDeleting(key: Key): void {
  if (key.deletionAt !== undefined) throw new ProblemError('ERR_KEY_PENDING_DELETION', 'Cancel the deletion first.');
}

function refuseDestroyed(key: Key): void {
  if (primaryOf(key).state === 'destroyed') throw new ProblemError('ERR_KEY_STATE', 'The key is destroyed.');
}
