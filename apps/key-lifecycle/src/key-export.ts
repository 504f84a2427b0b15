import { ProblemError, type WrappedKey } from '@claviger/contracts';
import type { Key } from './key';

/** A version that may leave, and its material. */
export interface Exportable {
  version: number;
  material: WrappedKey;
}

/**
 * Only of a key that was made so, and only what is neither compromised nor destroyed nor frozen: who gets it could use it from then on.
 * Throws ProblemError ERR_KEY_NOT_EXPORTABLE, ERR_KEY_…
 */
export function versionToExport(key: Key, asked: number | undefined): Exportable {
  if (!key.exportable) throw new ProblemError('ERR_KEY_NOT_EXPORTABLE');
  return usableVersion(key, asked ?? key.primaryVersion, ['active', 'deactivated', 'pre-activation']);
}

/** The version of a key here that others are wrapped under. Throws ERR_KEY_USAGE for one that is not to wrap, ERR_KEY_… */
export function versionToWrapUnder(key: Key): Exportable {
  if (key.usage !== 'wrap')
    throw new ProblemError(
      'ERR_KEY_USAGE',
      `The recipient ${key.keyId} is a key to ${key.usage}; another one is wrapped under one to wrap.`,
    );
  return usableVersion(key, key.primaryVersion, ['active']);
}

function usableVersion(key: Key, number: number, states: readonly string[]): Exportable {
  const version = key.versions[number - 1];
  if (!version) throw new ProblemError('ERR_NOT_FOUND', `The key ${key.keyId} has no version ${number}.`);
  const state = () => new ProblemError('ERR_KEY_STATE', `Version ${number} of ${key.keyId} is ${version.state}.`);
  if (version.state === 'destroyed' || version.state === 'compromised') throw state();
  if (key.deletionAt !== undefined) throw new ProblemError('ERR_KEY_PENDING_DELETION');
  if (key.suspended) throw new ProblemError('ERR_KEY_SUSPENDED', `The key ${key.keyId} is suspended.`);
  if (!states.includes(version.state)) throw state();
  if (!version.material) throw new ProblemError('ERR_KEY_MATERIAL_MISSING', `Version ${number} of ${key.keyId} has no material.`);
  if (version.material.custody !== 'wrapped')
    throw new ProblemError('ERR_KEY_NOT_EXPORTABLE', 'It is kept in the token, which lets no key of its algorithm out.');
  return { version: number, material: version.material };
}
