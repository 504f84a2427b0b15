import { isDeepStrictEqual } from 'node:util';
import {
  type Algorithm,
  type AtEnd,
  type Classification,
  type Cryptoperiod,
  cryptoperiods,
  type DeletionOrder,
  type Environment,
  type KeyMaterial,
  type KeyNotes,
  type KeyState,
  type KeyUsage,
  keyStates,
  limits,
  type MissingMaterial,
  ProblemError,
  type RegisteredData,
  type Residency,
  type RotationSchedule,
  type TokenKey,
  type Transition,
  usagesOf,
} from '@claviger/contracts';
import { assertRotatedInTime, planned } from './key-dates';
import type { DueRotation } from './key-events';
import { assertDeletable } from './key-protection';
import { assertSchedule } from './rotation-schedule';

/** A key as it is stored: one document, changed as a whole. Times are RFC 3339, UTC. */
export interface Key extends KeyNotes {
  keyId: string;
  revision: number;
  name: string;
  algorithm: Algorithm;
  usage: KeyUsage;
  environment: Environment;
  classification: Classification;
  owner: string;
  consumers: string[];
  tags: Record<string, string>;
  createdBy: string;
  primaryVersion: number;
  suspended: boolean;
  processingAllowed: boolean;
  /** Its version is in pre-activation until then. */
  activationAt?: string;
  deletionAt?: string;
  /** Absent of what was scheduled before orders were kept. */
  deletionOrder?: DeletionOrder;
  purgeProtected?: true;
  /** Data that only this key opens; what has ended may still stand here. */
  data?: RegisteredData[];
  cryptoperiod: Cryptoperiod;
  rotation?: Rotation;
  rotationDue?: DueRotation;
  /** The regions that it may be in; anywhere when absent. */
  residency?: Residency;
  /** When its owner last confirmed what is written of it. */
  certified?: { at: string; by: string };
  /** As somebody asked for; left out, it depends on whether there is a schedule. */
  atEnd?: AtEnd;
  /** Absent of keys whose material is generated here. */
  origin?: 'external';
  /** It may leave, wrapped for a recipient. */
  exportable?: true;
  versions: KeyVersion[];
}

export interface Rotation {
  schedule: RotationSchedule;
  /** When the schedule rotates the primary version; decided when that became active or the schedule was set, absent in pre-activation. */
  at?: string;
}

export interface KeyVersion {
  version: number;
  state: KeyState;
  createdAt: string;
  /** Its cryptoperiod counts from then. */
  activatedAt?: string;
  /** The first, and the newest of the others; the ledger has all of them. */
  transitions: Transition[];
  /** Gone once destroyed; of an external key also before it is imported, and after it expired or was deleted. */
  material?: KeyMaterial;
  publicKeySpki?: string;
  /** Of material that was imported, and stays when that is gone: only the same may be imported again. */
  imported?: Imported;
  missing?: { why: MissingMaterial; since: string };
}

export interface Imported {
  at: string;
  /** base64url; see libs/hsm/src/examined-keys.ts. Not given out. */
  checkValue: string;
  /** The parameters that it came with, which are good for one import. */
  importId: string;
  expiresAt?: string;
  /** AES-GCM encryptions elsewhere that were declared, and are counted. */
  priorEncryptions?: number;
}

/** Key material as the HSM gave it. */
export interface Material {
  material: KeyMaterial;
  publicKeySpki?: string;
}

export type NewKey = Pick<
  Key,
  | 'keyId'
  | 'name'
  | 'algorithm'
  | 'usage'
  | 'environment'
  | 'classification'
  | 'owner'
  | keyof KeyNotes
  | 'consumers'
  | 'tags'
  | 'createdBy'
  | 'atEnd'
  | 'residency'
  | 'origin'
  | 'exportable'
> & { cryptoperiod?: Cryptoperiod | undefined; schedule?: RotationSchedule | undefined };

/** Throws ERR_KEY_USAGE. */
export function usageFor(algorithm: Algorithm, asked: KeyUsage | undefined): KeyUsage {
  const usages = usagesOf(algorithm);
  if (asked !== undefined && !usages.includes(asked))
    throw new ProblemError('ERR_KEY_USAGE', `An ${algorithm} key can be made for ${usages.join(', ')}.`);
  return asked ?? usages[0];
}

/** Active at once, or at `activationAt`. Throws ERR_MALFORMED_REQUEST for a schedule that makes no sense. */
export function createKey({ schedule, cryptoperiod, ...about }: NewKey, made: Partial<Material>, now: string, activationAt?: string): Key {
  if (schedule) assertSchedule(schedule, Date.parse(now));
  assertNothingGenerates(about.origin, schedule, about.atEnd);
  const key = planned(
    {
      ...about,
      ...{ revision: 1, primaryVersion: 1, suspended: false, processingAllowed: false },
      ...(activationAt === undefined ? {} : { activationAt }),
      cryptoperiod: cryptoperiod ?? cryptoperiods[about.usage],
      ...(schedule === undefined ? {} : { rotation: { schedule } }),
      versions: [firstVersion(about, made, activationAt === undefined ? 'active' : 'pre-activation', now)],
    },
    now,
  );
  assertRotatedInTime(key);
  return key;
}

/** That of an external key waits for its material. */
const firstVersion = ({ origin }: Pick<NewKey, 'origin'>, made: Partial<Material>, state: KeyState, now: string): KeyVersion =>
  origin === 'external'
    ? { ...newVersion(1, 'pre-activation', 'created, waiting for material', now, {}), missing: { why: 'awaits-import', since: now } }
    : newVersion(1, state, 'created', now, made);

/** Throws ERR_MALFORMED_REQUEST. */
export function assertActivation(activateAt: string, nowMs: number): void {
  const days = (Date.parse(activateAt) - nowMs) / 86_400_000;
  if (days <= 0 || days > limits.activationDaysMax)
    throw new ProblemError(
      'ERR_MALFORMED_REQUEST',
      `A key is activated within ${limits.activationDaysMax} days from now; leave it out for now.`,
    );
}

/** The version that waits protects from now on. */
export function activateKey(key: Key, reason: string, now: string): Key {
  refuseWhileDeleting(key);
  if (!key.versions.some(({ state }) => state === 'pre-activation')) return key;
  if (key.suspended) throw new ProblemError('ERR_KEY_SUSPENDED', 'Resume the key before you activate it.');
  if (key.versions.some((v) => v.state === 'pre-activation' && v.missing)) throw new ProblemError('ERR_KEY_MATERIAL_MISSING');
  return planned(next(withoutActivation(key), { versions: moveAll(key, 'pre-activation', 'active', reason, now) }), now);
}

/** It protects no more, and goes on to process: the end of its originator usage period (SP 800-57 Part 1 rev. 5 §5.3.4). */
export function deactivateKey(key: Key, reason: string, now: string): Key {
  refuseWhileDeleting(key);
  const ends = ({ state }: KeyVersion) => state === 'active' || state === 'suspended';
  if (!key.versions.some(ends)) return key;
  return next(key, { versions: key.versions.map((v) => (ends(v) ? move(v, 'deactivated', reason, now) : v)) });
}

/** Whatever else is under way: that somebody knows the material is true of a suspended key and of one that waits for its deletion, too. */
export function compromiseKey(key: Key, versions: readonly number[] | undefined, reason: string, now: string): Key {
  if (isDestroyed(key)) throw new ProblemError('ERR_KEY_STATE', 'The key is destroyed.');
  const unknown = versions?.find((version) => !key.versions.some((v) => v.version === version));
  if (unknown !== undefined) throw new ProblemError('ERR_NOT_FOUND', `The key has no version ${unknown}.`);
  const falls = ({ version, state }: KeyVersion) =>
    (versions === undefined || versions.includes(version)) && state !== 'compromised' && state !== 'destroyed';
  if (!key.versions.some(falls)) return key;
  const moved = key.versions.map((v) => (falls(v) ? move(v, 'compromised', reason, now) : v));
  const waits = moved.some(({ state }) => state === 'pre-activation');
  return next(waits ? key : withoutActivation(key), { versions: moved });
}

/** To be asked before new material is made: nobody would use it. */
export function assertRotatable(key: Key): void {
  if (key.origin === 'external') throw new ProblemError('ERR_KEY_ORIGIN', 'Rotate it by importing other material as a new version.');
  assertTakesVersion(key);
}

/** Whether it can be given one more version. */
export function assertTakesVersion(key: Key): void {
  refuseWhileDeleting(key);
  if (key.suspended) throw new ProblemError('ERR_KEY_SUSPENDED', 'Resume the key before you rotate it.');
  if (key.versions.length >= limits.versionsPerKey)
    throw new ProblemError('ERR_KEY_STATE', `A key has at most ${limits.versionsPerKey} versions.`);
  if (key.versions.some(({ state }) => state === 'pre-activation'))
    throw new ProblemError('ERR_KEY_STATE', 'Activate the key before you rotate it.');
  // A record that no longer reaches the workers could not be suspended either.
  if (Buffer.byteLength(JSON.stringify(key.versions)) > limits.keyVersionsBytes)
    throw new ProblemError('ERR_KEY_STATE', 'The versions of this key fill its record: make a new key.');
}

/** A new version protects from now on; the one before goes on to process. */
export function rotateKey(key: Key, made: Material, reason: string, now: string): Key {
  assertRotatable(key);
  return withNewVersion(key, made, reason, now);
}

export function withNewVersion(key: Key, made: Material & Pick<KeyVersion, 'imported'>, reason: string, now: string): Key {
  const version = key.versions.length + 1;
  const before = key.versions.map((v) => (v.state === 'active' ? move(v, 'deactivated', reason, now) : v));
  const { rotationDue: _, ...rest } = key;
  return planned(next(rest, { primaryVersion: version, versions: [...before, newVersion(version, 'active', reason, now, made)] }), now);
}

/** What is to be said of a key's rotation: what is left out stays, null gives back the default. */
export interface RotationSettings {
  cryptoperiod?: Cryptoperiod | null | undefined;
  schedule?: RotationSchedule | null | undefined;
  atEnd?: AtEnd | null | undefined;
}

/** Throws ERR_MALFORMED_REQUEST for a schedule that makes no sense. */
export function setRotation(key: Key, { cryptoperiod, schedule, atEnd }: RotationSettings, now: string): Key {
  refuseWhileDeleting(key);
  const { rotation, atEnd: atEndBefore, cryptoperiod: before, ...rest } = key;
  if (schedule) assertSchedule(schedule, Date.parse(now));
  assertNothingGenerates(key.origin, schedule, atEnd);
  // One that is set again as it is goes on where it was: nothing is put off by it.
  const kept = schedule === undefined || isDeepStrictEqual(schedule, rotation?.schedule);
  const about = {
    ...rest,
    ...{ revision: key.revision + 1, cryptoperiod: cryptoperiod === null ? cryptoperiods[key.usage] : (cryptoperiod ?? before) },
    ...withAtEnd(atEnd === undefined ? atEndBefore : atEnd),
  };
  if (kept && isDeepStrictEqual({ ...about, revision: key.revision, ...(rotation ? { rotation } : {}) }, key)) return key;
  const to = kept
    ? { ...about, ...(rotation ? { rotation } : {}) }
    : planned({ ...about, ...(schedule ? { rotation: { schedule } } : {}) }, now);
  assertRotatedInTime(to);
  return to;
}

/** Nobody can make the material of an external key but who imports it. */
function assertNothingGenerates(
  origin: Key['origin'],
  schedule: RotationSchedule | null | undefined,
  atEnd: AtEnd | null | undefined,
): void {
  if (origin === 'external' && (schedule || atEnd === 'rotate'))
    throw new ProblemError('ERR_KEY_ORIGIN', 'An external key is not rotated by itself.');
}
const withAtEnd = (atEnd: AtEnd | null | undefined) => (atEnd ? { atEnd } : {});

/** Freezes the key. Suspending again changes only what is asked for anew, so it can be repeated. */
export function suspendKey(key: Key, allowProcessing: boolean, reason: string, now: string): Key {
  refuseWhileDeleting(key);
  if (key.suspended && key.processingAllowed === allowProcessing) return key;
  return next(key, { suspended: true, processingAllowed: allowProcessing, versions: moveAll(key, 'active', 'suspended', reason, now) });
}

export function resumeKey(key: Key, reason: string, now: string): Key {
  refuseWhileDeleting(key);
  if (!key.suspended) return key;
  return next(key, { suspended: false, processingAllowed: false, versions: moveAll(key, 'suspended', 'active', reason, now) });
}

/** Frozen at once; destroyed when the waiting period ends. Scheduling again never brings the end nearer. */
export function scheduleDeletion(key: Key, waitDays: number, { by, reason }: Pick<DeletionOrder, 'by' | 'reason'>, nowMs: number): Key {
  if (isDestroyed(key)) throw new ProblemError('ERR_KEY_STATE', 'The key is destroyed.');
  assertDeletable(key, nowMs);
  const now = new Date(nowMs).toISOString();
  const deletionAt = new Date(nowMs + waitDays * 86_400_000).toISOString();
  if (key.deletionAt !== undefined && key.deletionAt >= deletionAt) return key;
  const deletionOrder = { by, reason, at: now };
  const versions = moveAll(key, 'active', 'suspended', reason, now);
  return next(key, { suspended: true, processingAllowed: false, deletionAt, deletionOrder, versions });
}

/** The key comes back suspended: whoever needs it resumes it. */
export function cancelDeletion(key: Key): Key {
  if (isDestroyed(key)) throw new ProblemError('ERR_KEY_STATE', 'The key is destroyed.');
  if (key.deletionAt === undefined) return key;
  const { deletionAt: _, deletionOrder: __, ...kept } = key;
  return { ...kept, revision: key.revision + 1 };
}

/** The waiting period is over: the wrapped material goes, the record that there was a key stays. */
export function destroyKey(key: Key, nowMs: number): Key {
  if (isDestroyed(key)) throw new ProblemError('ERR_KEY_STATE', 'The key is destroyed.');
  if (key.deletionAt === undefined || Date.parse(key.deletionAt) > nowMs)
    throw new ProblemError('ERR_KEY_STATE', 'The waiting period is not over.');
  const now = new Date(nowMs).toISOString();
  const versions = key.versions.map((v) => {
    const { material: _, missing: __, ...destroyed } = v.state === 'destroyed' ? v : move(v, 'destroyed', 'scheduled deletion', now);
    return destroyed;
  });
  return next(withoutActivation(key), { versions });
}

export const setConsumers = (key: Key, consumers: string[]): Key => {
  if (isDestroyed(key)) throw new ProblemError('ERR_KEY_STATE', 'The key is destroyed.');
  return next(key, { consumers });
};

export const setOwner = (key: Key, owner: string): Key => {
  if (isDestroyed(key)) throw new ProblemError('ERR_KEY_STATE', 'The key is destroyed.');
  return key.owner === owner ? key : next(key, { owner });
};

/** What is not given stays; null takes it away. Also of a destroyed key: what is said of it may be wrong. */
export function updateNotes(key: Key, notes: { [name in keyof KeyNotes]?: string | null | undefined }, tags?: Record<string, string>): Key {
  const given = Object.entries(notes).filter(([, value]) => value !== undefined);
  const changed = { ...key, ...Object.fromEntries(given), ...(tags ? { tags } : {}) };
  const kept = Object.fromEntries(Object.entries(changed).filter(([, value]) => value !== null)) as unknown as Key;
  return { ...kept, revision: key.revision + 1 };
}

export const isDestroyed = (key: Key): boolean => key.versions.every((v) => v.state === 'destroyed');

/** Objects of a token that the change leaves to nobody. */
export const abandoned = (from: Key, to: Key): TokenKey[] => {
  const kept = new Set(to.versions.flatMap(({ material }) => (material?.custody === 'token' ? [material.label] : [])));
  return from.versions.flatMap(({ material }) => (material?.custody === 'token' && !kept.has(material.label) ? [material] : []));
};

export const next = (key: Key, change: Partial<Key>): Key => ({ ...key, ...change, revision: key.revision + 1 });

const moveAll = (key: Key, from: KeyState, to: KeyState, reason: string, now: string): KeyVersion[] =>
  key.versions.map((v) => (v.state === from ? move(v, to, reason, now) : v));

/** The only way a state changes: by the table (SP 800-57 Part 1 rev. 5 §7). */
export function move(version: KeyVersion, to: KeyState, reason: string, now: string): KeyVersion {
  if (!keyStates[version.state].next.includes(to))
    throw new ProblemError('ERR_KEY_STATE', `Version ${version.version} cannot go from ${version.state} to ${to}.`);
  const [created, ...later] = version.transitions as [Transition, ...Transition[]];
  const kept = later.slice(-(limits.transitionsPerVersion - 2));
  const activated = to === 'active' && version.activatedAt === undefined ? { activatedAt: now } : {};
  return { ...version, ...activated, state: to, transitions: [created, ...kept, { to, at: now, reason }] };
}

const newVersion = (
  version: number,
  state: KeyState,
  reason: string,
  now: string,
  made: Partial<Material> & Pick<KeyVersion, 'imported'>,
): KeyVersion => ({
  ...{ version, state, createdAt: now, ...(state === 'active' ? { activatedAt: now } : {}) },
  transitions: [{ to: state, at: now, reason }],
  ...made,
});

export function withoutActivation(key: Key): Key {
  const { activationAt: _, ...rest } = key;
  return rest;
}

export function refuseWhileDeleting(key: Key): void {
  if (isDestroyed(key)) throw new ProblemError('ERR_KEY_STATE', 'The key is destroyed.');
  if (key.deletionAt !== undefined) throw new ProblemError('ERR_KEY_PENDING_DELETION', 'Cancel the deletion first.');
}
