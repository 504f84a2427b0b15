import { type KeyView, ProblemError, type WrappedKey } from '@claviger/contracts';

export interface Asked {
  keyId: string;
  version: number;
  algorithm: string;
  material: WrappedKey;
}

/**
 * Whether the signed record of a key, as the bucket has it now, bears out what key-lifecycle asks for: this version has this material, is live and not frozen,
 * and was made to leave, or wraps others. Throws ERR_KEY_NOT_EXPORTABLE, ERR_KEY_USAGE, ERR_KEY_STATE, ERR_KEY_SUSPENDED, ERR_KEY_PENDING_DELETION, and
 * ERR_STATE_STALE where the record has other material, which a newer one may have come for.
 */
export function assertSendable(key: KeyView, asked: Asked, as: 'sent' | 'recipient'): void {
  if (as === 'sent' && !key.exportable)
    throw new ProblemError('ERR_KEY_NOT_EXPORTABLE', `The signed record of ${key.keyId} does not say that it may leave.`);
  if (as === 'recipient' && key.usage !== 'wrap') throw new ProblemError('ERR_KEY_USAGE', `${key.keyId} is a key to ${key.usage}.`);
  if (key.deletionAt !== undefined) throw new ProblemError('ERR_KEY_PENDING_DELETION');
  if (key.suspended) throw new ProblemError('ERR_KEY_SUSPENDED');
  const version = key.versions.find((one) => one.version === asked.version);
  const states = as === 'sent' ? ['active', 'deactivated', 'pre-activation'] : ['active'];
  if (!version || !states.includes(version.state))
    throw new ProblemError('ERR_KEY_STATE', `Version ${asked.version} of ${key.keyId} is ${version?.state ?? 'not there'}.`);
  const { material } = version;
  const isSame = material?.custody === 'wrapped' && material.wrapped === asked.material.wrapped && material.kekId === asked.material.kekId;
  if (!isSame || key.algorithm !== asked.algorithm)
    throw new ProblemError('ERR_STATE_STALE', `The signed record of ${key.keyId} has other material than what is to be sent.`);
}
