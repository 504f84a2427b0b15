import { createHash } from 'node:crypto';
import type { DestructionCertificate, KeyMaterial, MaterialInBackups } from '@claviger/contracts';
import type { Key, KeyVersion } from './key';

/** What a certificate will say, taken while the material is still there to be told of. */
export type Destruction = Omit<DestructionCertificate, 'issuedAt' | 'backups'>;

/** Rejects when that is not known. */
export type BackupsOf = (destruction: Destruction) => Promise<MaterialInBackups>;

/** `from` is the key with its material, `to` the same key without; the revision and the time of destruction are those of `to`. */
export function destructionOf(from: Key, to: Key): Destruction {
  const { keyId, name, algorithm, usage, environment, classification, owner, deletionOrder, deletionAt } = from;
  const [first] = from.versions as [KeyVersion];
  const destroyedAt = (to.versions.at(-1) as KeyVersion).transitions.at(-1)?.at as string;
  return {
    format: 'claviger.destruction-certificate/1',
    ...{ keyId, name, algorithm, usage, environment, classification, owner, createdAt: first.createdAt },
    ...(deletionOrder ? { order: deletionOrder } : {}),
    ...{ deletionAt: deletionAt ?? destroyedAt, destroyedAt },
    versions: from.versions.map(({ version, createdAt, material, publicKeySpki }) => ({
      ...{ version, createdAt },
      ...(material ? { material: materialOf(material) } : {}),
      ...(publicKeySpki ? { publicKeySha256: sha256(publicKeySpki) } : {}),
    })),
  };
}

/** The change takes the last material of the key. */
export const isDestruction = (from: Key, to: Key): boolean => !hasEnded(from) && hasEnded(to);

const hasEnded = ({ versions }: Key): boolean => versions.every(({ state }) => state === 'destroyed');

const materialOf = (material: KeyMaterial) =>
  material.custody === 'token'
    ? { custody: material.custody, token: material.token, label: material.label }
    : { custody: material.custody, kekId: material.kekId, sha256: sha256(material.wrapped) };

const sha256 = (b64u: string): string => createHash('sha256').update(Buffer.from(b64u, 'base64url')).digest('base64url');
