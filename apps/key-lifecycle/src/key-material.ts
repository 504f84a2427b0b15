import { timingSafeEqual } from 'node:crypto';
import type { Floor } from '@claviger/authz';
import { limits, ProblemError } from '@claviger/contracts';
import {
  assertTakesVersion,
  type Imported,
  type Key,
  type KeyVersion,
  type Material,
  move,
  next,
  refuseWhileDeleting,
  withNewVersion,
  withoutActivation,
} from './key';
import { planned } from './key-dates';
import { assertMaterialWait } from './key-floor';
import { assertDeletable } from './key-protection';

/** Material that was imported or is to be. Which version gets it: one that had the same before, or that waits for its first; or a new one, which rotates the key. */
export type ImportTarget = number | 'new';

/** What the token made of what was sent. */
export interface Received extends Material {
  /** base64url. */
  checkValue: string;
}

/** What whoever imports says of it, and what it came with. */
export type ImportAbout = Omit<Imported, 'at' | 'checkValue'>;

/** To be asked before anything is unwrapped. Throws ProblemError. */
export function assertImportable(key: Key, target: ImportTarget, importId: string): void {
  if (key.origin !== 'external') throw new ProblemError('ERR_KEY_ORIGIN', 'The material of this key is generated.');
  if (key.versions.some(({ imported }) => imported?.importId === importId))
    throw new ProblemError('ERR_IMPORT_PARAMETERS', 'These import parameters have been used: ask for new ones.');
  if (target === 'new') return assertTakesVersion(key);
  refuseWhileDeleting(key);
  const version = versionOf(key, target);
  if (version.state === 'compromised' || version.state === 'destroyed')
    throw new ProblemError('ERR_KEY_STATE', `Version ${target} is ${version.state}.`);
  if (version.state === 'pre-activation' && key.suspended)
    throw new ProblemError('ERR_KEY_SUSPENDED', 'Resume the key before you give it its material.');
}

/** Throws ERR_MALFORMED_REQUEST. */
export function assertMaterialTimes({ algorithm, usage }: Key, { expiresAt, priorEncryptions }: Partial<ImportAbout>, nowMs: number): void {
  const days = expiresAt === undefined ? 1 : (Date.parse(expiresAt) - nowMs) / 86_400_000;
  if (days <= 0 || days > limits.cryptoperiodDaysMax)
    throw new ProblemError('ERR_MALFORMED_REQUEST', `Material expires within ${limits.cryptoperiodDaysMax} days from now, or never.`);
  if (countsEncryptions({ algorithm, usage }) && priorEncryptions === undefined)
    throw new ProblemError(
      'ERR_MALFORMED_REQUEST',
      'Say how often this material has encrypted by AES-GCM before (priorEncryptions, 0 for never): it counts towards the bound of the key (SP 800-38D §8.3).',
    );
}

export const countsEncryptions = ({ algorithm, usage }: Pick<Key, 'algorithm' | 'usage'>): boolean =>
  usage === 'encrypt' && algorithm.startsWith('AES');

/**
 * Material that ends sooner than was said before is destroyed then, as if somebody deleted it. Registered data that ends before that is left out.
 * Throws ERR_KEY_PROTECTED, ERR_BELOW_FLOOR.
 */
export function assertMayEnd(key: Key, target: ImportTarget, { expiresAt }: Partial<ImportAbout>, floor: Floor, nowMs: number): void {
  if (expiresAt === undefined) return;
  const before = target === 'new' ? undefined : versionOf(key, target).imported;
  if (before?.expiresAt !== undefined && before.expiresAt <= expiresAt) return;
  assertDeletable(key, Date.parse(expiresAt));
  assertMaterialWait(key, (Date.parse(expiresAt) - nowMs) / 86_400_000, floor);
}

/** How many encryptions elsewhere were declared now that were not before, of the version that the material goes to. */
export function newlyDeclared(key: Key, target: ImportTarget, { priorEncryptions = 0 }: Partial<ImportAbout>): number {
  const before = target === 'new' ? 0 : (versionOf(key, target).imported?.priorEncryptions ?? 0);
  return Math.max(0, priorEncryptions - before);
}

/** Throws ERR_KEY_MATERIAL_DIFFERENT where the version had other material, and what `assertImportable` throws. */
export function importMaterial(key: Key, target: ImportTarget, received: Received, about: ImportAbout, reason: string, now: string): Key {
  assertImportable(key, target, about.importId);
  const { checkValue, ...made } = received;
  const imported: Imported = { ...about, at: now, checkValue };
  if (target === 'new') return withNewVersion(key, { ...made, imported }, reason, now);
  const { missing, ...before } = versionOf(key, target);
  if (before.imported && !isSame(before.imported.checkValue, checkValue)) throw new ProblemError('ERR_KEY_MATERIAL_DIFFERENT');
  const declared = Math.max(about.priorEncryptions ?? 0, before.imported?.priorEncryptions ?? 0);
  const filled = { ...before, ...made, imported: { ...imported, ...(countsEncryptions(key) ? { priorEncryptions: declared } : {}) } };
  const waits = key.activationAt !== undefined && key.activationAt > now;
  const activates = before.state === 'pre-activation' && !waits;
  const version = activates ? move(filled, 'active', reason, now) : filled;
  const changed = next(activates ? withoutActivation(key) : key, { versions: key.versions.with(target - 1, version) });
  return activates ? planned(changed, now) : changed;
}

/**
 * Its material goes, its state stays: it is used again when the same is imported. Unchanged where it has none. Nobody but whoever has the original can take it
 * back, so what keeps a key from its deletion keeps its material too. Throws ERR_KEY_PROTECTED, ERR_BELOW_FLOOR.
 */
export function deleteMaterial(key: Key, number: number, floor: Floor, nowMs: number): Key {
  if (key.origin !== 'external') throw new ProblemError('ERR_KEY_ORIGIN', 'Schedule the deletion of the key: its material was generated.');
  refuseWhileDeleting(key);
  const version = versionOf(key, number);
  if (version.material === undefined) return key;
  assertDeletable(key, nowMs);
  assertMaterialWait(key, 0, floor);
  return next(key, { versions: key.versions.with(number - 1, without(version, 'deleted', new Date(nowMs).toISOString())) });
}

/** What has expired by now goes. Also of a key that is suspended or waits for its deletion: nothing puts it off. */
export function expireMaterial(key: Key, nowMs: number): Key {
  const isOver = ({ material, imported }: KeyVersion) =>
    material !== undefined && imported?.expiresAt !== undefined && Date.parse(imported.expiresAt) <= nowMs;
  if (!key.versions.some(isOver)) return key;
  const now = new Date(nowMs).toISOString();
  return next(key, { versions: key.versions.map((v) => (isOver(v) ? without(v, 'expired', now) : v)) });
}

/** The public half goes with it, so that nothing that is left of it is used; the check value stays. */
function without(version: KeyVersion, why: 'expired' | 'deleted', now: string): KeyVersion {
  const { material: _, publicKeySpki: __, ...rest } = version;
  return { ...rest, missing: { why, since: now } };
}

function versionOf(key: Key, number: number): KeyVersion {
  const version = key.versions[number - 1];
  if (!version) throw new ProblemError('ERR_NOT_FOUND', `The key has no version ${number}.`);
  return version;
}

const isSame = (before: string, now: string): boolean =>
  before.length === now.length && timingSafeEqual(Buffer.from(before), Buffer.from(now));
