import { type CloudEvent, cloudEvent, type EventType } from '@claviger/contracts';
import type { Key } from './key';
import { atEndOf, type Deadline, deadlinesOf, iso, rotationAt } from './key-dates';
import { dayMs } from './rotation-schedule';

/** What has been told of a key, kept beside it: a warning is no change of the key, and no worker needs to hear of it. The newest of each kind is enough. */
export interface Told {
  keyId: string;
  /** `days` is the fewest that was told of this end. */
  periodEnd?: { version: number; at: string; days: number };
  deletion?: { at: string; days: number };
  /** Of each version. */
  materialExpiries?: { version: number; at: string; days: number }[];
  /** The same as it was told before versions were: of any that ends then. */
  materialExpiry?: { at: string; days: number };
  rotationFailed?: { version: number; at: string };
  /** Digest of what it was said to be less in than its floor. */
  nonCompliant?: string;
  certification?: { at: string; days: number };
}

export const nothingTold = (keyId: string): Told => ({ keyId });

/** An event that is due, once for each version, end and number of days. Of several that have come since, the last one: what is over need not be announced. */
export function warning(key: Key, told: Told, nowMs: number): { told: Told; event: CloudEvent } | undefined {
  for (const deadline of deadlinesOf(key)) {
    const due = warningOf(deadline, key, told, nowMs);
    if (due) return due;
  }
  return undefined;
}

function warningOf(deadline: Deadline, key: Key, told: Told, nowMs: number): { told: Told; event: CloudEvent } | undefined {
  const endMs = Date.parse(deadline.at);
  const days = deadline.days.findLast((d) => endMs - d * dayMs <= nowMs);
  if (days === undefined) return undefined;
  const { at, version } = deadline;
  if (deadline.what === 'deletion') {
    if (told.deletion?.at === at && told.deletion.days <= days) return undefined;
    // A wait of 20 days is told at once, as 20.
    const left = Math.min(days, Math.ceil((endMs - nowMs) / dayMs));
    const data = { ...named(key), deletionAt: at, days: left };
    return { told: { ...told, deletion: { at, days } }, event: event(key, 'deletion-approaching', `${endMs}.${days}`, nowMs, data) };
  }
  if (deadline.what === 'material-expiry') {
    const ofVersions = told.materialExpiries ?? [];
    const before = ofVersions.find((one) => one.version === version) ?? told.materialExpiry;
    if (before?.at === at && before.days <= days) return undefined;
    const materialExpiries = [...ofVersions.filter((one) => one.version !== version), { version, at, days }];
    const data = { ...named(key), version, expiresAt: at, days };
    return { told: { ...told, materialExpiries }, event: event(key, 'material-expiring', `${version}.${endMs}.${days}`, nowMs, data) };
  }
  const { periodEnd } = told;
  if (periodEnd?.version === version && periodEnd.at === at && periodEnd.days <= days) return undefined;
  const rotation = rotationAt(key);
  const data = {
    ...named(key),
    ...{ version, endsAt: at, days, atEnd: atEndOf(key) },
    ...(rotation === undefined ? {} : { rotationAt: iso(rotation) }),
  };
  return { told: { ...told, periodEnd: { version, at, days } }, event: event(key, 'period-ending', `${endMs}.${days}`, nowMs, data) };
}

/** That a rotation could not be done, once for each version and `dueAt`, which is left out where the number of encryptions asks for it. */
export function rotationFailure(
  key: Key,
  told: Told,
  nowMs: number,
  { code, detail, dueAt }: { code: string; detail: string; dueAt?: string | undefined },
): { told: Told; event: CloudEvent } | undefined {
  const at = dueAt ?? 'usage';
  const version = key.primaryVersion;
  if (told.rotationFailed?.version === version && told.rotationFailed.at === at) return undefined;
  const data = { ...named(key), version, ...(dueAt === undefined ? {} : { dueAt }), code, detail };
  return {
    told: { ...told, rotationFailed: { version, at } },
    event: event(key, 'rotation-failed', dueAt === undefined ? at : String(Date.parse(at)), nowMs, data),
  };
}

const named = ({ keyId, name, owner }: Key) => ({ keyId, name, owner });

function event<T extends 'period-ending' | 'deletion-approaching' | 'material-expiring' | 'rotation-failed'>(
  { keyId, primaryVersion }: Key,
  what: T,
  which: string,
  nowMs: number,
  data: CloudEvent<`io.claviger.key.${T}`>['data'],
): CloudEvent {
  const type = `io.claviger.key.${what}` as `io.claviger.key.${T}` & EventType;
  const id = `${keyId}.${primaryVersion}.${what}.${which}`;
  return cloudEvent(type, { id, source: 'claviger/key-lifecycle', time: iso(nowMs), subject: keyId, data });
}
