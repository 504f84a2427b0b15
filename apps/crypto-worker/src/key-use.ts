import { type Algorithm, type KeyUse, type KeyView, keyStates, ProblemError } from '@claviger/contracts';

export type KeyVersion = KeyView['versions'][number];

/** The version that protects: the primary one, when its state allows it. Throws ProblemError ERR_KEY_… */
export function versionToProtect(key: KeyView, algorithm: Algorithm): KeyVersion {
  checkAlgorithm(key, algorithm);
  checkFrozen(key, 'protect');
  return checkState(key, key.primaryVersion, 'protect');
}

/** A version that made a ciphertext or signature, when its state still allows to process. */
export function versionToProcess(key: KeyView, version: number, algorithm: Algorithm): KeyVersion {
  checkAlgorithm(key, algorithm);
  checkFrozen(key, 'process');
  return checkState(key, version, 'process');
}

/** Versions that may verify, newest first. */
export function versionsToVerify(key: KeyView, algorithm: Algorithm): KeyVersion[] {
  checkAlgorithm(key, algorithm);
  checkFrozen(key, 'process');
  return key.versions.filter((v) => keyStates[v.state].uses.includes('process')).reverse();
}

function checkAlgorithm(key: KeyView, algorithm: Algorithm): void {
  if (key.algorithm !== algorithm)
    throw new ProblemError('ERR_KEY_USAGE', `This is an ${key.algorithm} key; the operation takes ${algorithm}.`);
}

function checkFrozen(key: KeyView, use: KeyUse): void {
  if (key.deletionAt !== undefined) throw new ProblemError('ERR_KEY_PENDING_DELETION', `The key is to be destroyed at ${key.deletionAt}.`);
  if (key.suspended && (use === 'protect' || !key.processingAllowed)) throw new ProblemError('ERR_KEY_SUSPENDED');
}

function checkState(key: KeyView, number: number, use: KeyUse): KeyVersion {
  const version = key.versions.find((v) => v.version === number);
  // A version that this key never had cannot have made the ciphertext.
  if (!version) throw new ProblemError('ERR_DECRYPTION_FAILED');
  if (!keyStates[version.state].uses.includes(use)) throw new ProblemError('ERR_KEY_STATE', `Version ${number} is ${version.state}.`);
  return version;
}
