import type { Canary, CanarySubject } from '@claviger/contracts';
import type { Key, KeyVersion } from './key';

/** A version that is in a backup: its material lies under a KEK. */
export const isInBackup = ({ state, material }: KeyVersion): boolean => state !== 'destroyed' && material?.custody === 'wrapped';

/** A version whose material stays in its token. */
export const staysInToken = ({ state, material }: KeyVersion): boolean => state !== 'destroyed' && material?.custody === 'token';

/** It is proven by its public half. */
const hasPublicHalf = ({ publicKeySpki }: KeyVersion) => publicKeySpki !== undefined;

/** Versions that are proven by a canary and have none yet. */
export const withoutCanary = (key: Key, canaries: Readonly<Record<string, Canary>>): KeyVersion[] =>
  key.versions.filter((v) => isInBackup(v) && !hasPublicHalf(v) && canaries[v.version] === undefined);

/** What is asked of the token about a version. */
export const subjectOf = (key: Key, version: KeyVersion, canaries: Readonly<Record<string, Canary>> = {}): CanarySubject => {
  const canary = canaries[version.version];
  return {
    ...{ keyId: key.keyId, version: version.version, algorithm: key.algorithm, usage: key.usage },
    material: version.material as CanarySubject['material'],
    ...(version.publicKeySpki === undefined ? {} : { publicKeySpki: version.publicKeySpki }),
    ...(canary === undefined ? {} : { canary }),
  };
};

/** Versions that can be proven, each with the KEK that it is under. */
export const provable = (key: Key, canaries: Readonly<Record<string, Canary>>): { kekId: string; subject: CanarySubject }[] =>
  key.versions.flatMap((version) => {
    const { material } = version;
    if (!isInBackup(version) || material?.custody !== 'wrapped') return [];
    if (!hasPublicHalf(version) && canaries[version.version] === undefined) return [];
    return [{ kekId: material.kekId, subject: subjectOf(key, version, canaries) }];
  });
