import { Classification, ProblemError } from '@claviger/contracts';
import { type Key, refuseWhileDeleting } from './key';
import { primaryOf } from './key-dates';

/**
 * The key is to be rotated as soon as it can be, since something happened: kept in the key, so that neither a token that is away nor a process that ends
 * makes it forgotten. The sweep does it.
 */
export interface DueRotation {
  /** RFC 3339. */
  at: string;
  /** Goes into the transition of the new version, and into the ledger. */
  reason: string;
}

/** Positive when the first is the higher. */
const compared = (a: Classification, b: Classification): number => Classification.options.indexOf(a) - Classification.options.indexOf(b);

export const isLowered = (key: Key, classification: Classification): boolean => compared(classification, key.classification) < 0;

/** New versions are wrapped under the KEK of the new classification. What is raised is rotated, so that nothing more is protected under the KEK of the lower one. */
export function setClassification(key: Key, classification: Classification, reason: string, now: string): Key {
  refuseWhileDeleting(key);
  const { classification: before } = key;
  if (before === classification) return key;
  const changed = { ...key, classification, revision: key.revision + 1 };
  if (compared(classification, before) < 0) return changed;
  return willProtect(key) ? due(changed, `classification raised from ${before} to ${classification}: ${reason}`, now) : changed;
}

/** After the primary version was marked as compromised: rotated when the command asks for it or, where that says nothing, the schedule. */
export function afterCompromise(before: Key, after: Key, rotate: boolean | undefined, reason: string, now: string): Key {
  if (rotate && before.origin === 'external')
    throw new ProblemError('ERR_KEY_ORIGIN', 'It is rotated by importing other material: mark it as compromised without a rotation first.');
  const wanted = rotate ?? (before.rotation?.schedule.onCompromise === true && willProtect(before));
  const fell = primaryOf(before).state !== 'compromised' && primaryOf(after).state === 'compromised';
  return wanted && fell && after.deletionAt === undefined
    ? due(after, `version ${before.primaryVersion} compromised: ${reason}`, now)
    : after;
}

/** After a key was handed over: rotated where its schedule says so. */
export function afterOwnerChange(before: Key, after: Key, reason: string, now: string): Key {
  if (before.owner === after.owner || before.rotation?.schedule.onOwnerChange !== true) return after;
  return willProtect(after) && after.deletionAt === undefined
    ? due(after, `owner ${before.owner} left it to ${after.owner}: ${reason}`, now)
    : after;
}

/** Nobody here can rotate an external key: whoever has other material imports it. */
const due = (key: Key, reason: string, now: string): Key =>
  key.origin === 'external' ? key : { ...key, rotationDue: { at: now, reason: reason.slice(0, 1_000) } };

/** Its primary version protects, or will again. What somebody deactivated or called compromised no event brings back. */
function willProtect(key: Key): boolean {
  const { state } = primaryOf(key);
  return state === 'active' || state === 'suspended' || state === 'pre-activation';
}
