import { algorithms, type KeyState, type KeyUsage, type KeyUse, type KeyView, keyStates, ProblemError } from '@claviger/contracts';

export type KeyVersion = KeyView['versions'][number];

/** The version that protects: the primary one, when its state allows it. Throws ProblemError ERR_KEY_… */
export function versionToProtect(key: KeyView, usage: KeyUsage): KeyVersion {
  checkUsage(key, usage);
  checkFrozen(key, 'protect');
  return checkState(key, key.primaryVersion, 'protect', () => new ProblemError('ERR_KEY_STATE', 'The key has no primary version.'));
}

/** The version that a ciphertext names, when its state still allows to process. One that the key never had made no ciphertext. */
export function versionToDecrypt(key: KeyView, version: number, use: KeyUse = 'process'): KeyVersion {
  checkUsage(key, 'encrypt');
  checkFrozen(key, use);
  return checkState(key, version, use, () => new ProblemError('ERR_DECRYPTION_FAILED'));
}

/** The version that the caller names, when its state still allows to process. `usage` left out: of a key for whatever. */
export function versionToProcess(key: KeyView, usage: KeyUsage | undefined, version: number): KeyVersion {
  checkUsage(key, usage);
  checkFrozen(key, 'process');
  return checkState(key, version, 'process', () => new ProblemError('ERR_NOT_FOUND', `The key has no version ${version}.`));
}

/** Versions that may process, newest first. */
export function versionsToProcess(key: KeyView, usage: KeyUsage, use: KeyUse = 'process'): KeyVersion[] {
  checkUsage(key, usage);
  checkFrozen(key, use);
  const may = key.versions.filter((v) => mayBe(v.state, use));
  const there = may.filter(({ material }) => material);
  if (may.length > 0 && there.length === 0) throw missing(may.at(-1) as KeyVersion);
  return there.reverse();
}

/** The version that the caller names, or all that may process, newest first. */
export const versionsNamed = (key: KeyView, usage: KeyUsage, version: number | undefined): KeyVersion[] =>
  version === undefined ? versionsToProcess(key, usage) : [versionToProcess(key, usage, version)];

/** Whether it encrypts with its public half, and so only what fits in it. */
export const encryptsToPublicHalf = ({ algorithm, usage }: KeyView): boolean => usage === 'encrypt' && algorithms[algorithm].pair;

const mayBe = (state: KeyState, use: KeyUse): boolean => keyStates[state].uses.includes(use);

function checkUsage(key: KeyView, usage: KeyUsage | undefined): void {
  if (usage !== undefined && key.usage !== usage)
    throw new ProblemError('ERR_KEY_USAGE', `This ${key.algorithm} key is to ${key.usage}; the operation takes one to ${usage}.`);
}

function checkFrozen(key: KeyView, use: KeyUse): void {
  if (key.versions.every((v) => v.state === 'destroyed')) throw new ProblemError('ERR_KEY_STATE', 'The key is destroyed.');
  if (key.deletionAt !== undefined) throw new ProblemError('ERR_KEY_PENDING_DELETION', `The key is to be destroyed at ${key.deletionAt}.`);
  if (key.suspended && (use === 'protect' || !key.processingAllowed)) throw new ProblemError('ERR_KEY_SUSPENDED');
}

/** `none` makes its error only when it is thrown: an error costs more than the encryption. */
function checkState(key: KeyView, number: number, use: KeyUse, none: () => ProblemError): KeyVersion {
  const version = key.versions.find((v) => v.version === number);
  if (!version) throw none();
  if (!mayBe(version.state, use)) {
    const rescue = version.state === 'compromised' && key.usage === 'encrypt' ? ' What it protected can still be re-encrypted.' : '';
    throw new ProblemError('ERR_KEY_STATE', `Version ${number} is ${version.state}.${rescue}`);
  }
  if (!version.material) throw missing(version);
  return version;
}

/** Of an external key, whose material expired or was deleted. What waits for its first is in pre-activation. */
const missing = ({ version }: KeyVersion) =>
  new ProblemError(
    'ERR_KEY_MATERIAL_MISSING',
    `The imported material of version ${version} expired or was deleted: import the same again.`,
  );
