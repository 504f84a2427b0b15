import { type KeyDescription, type KeyView, keyStates } from '@claviger/contracts';
import type { Key, KeyVersion } from './key';
import { atEndOf, iso, nextOf, originatorPeriodEnd, protectsAtMostDays, recipientPeriodEnd } from './key-dates';

/** What may leave this service towards people. */
export function describeKey(key: Key): KeyDescription {
  const { versions, rotation, purgeProtected = false, data = [], origin = 'generated', exportable = false, ...about } = key;
  const [end, next, most] = [originatorPeriodEnd(key), nextOf(key), protectsAtMostDays(key)];
  return {
    ...about,
    ...{ origin, exportable, purgeProtected, data },
    ...(rotation ? { schedule: rotation.schedule } : {}),
    atEnd: atEndOf(key),
    ...(most === undefined ? {} : { protectsAtMostDays: most }),
    ...(end === undefined ? {} : { originatorPeriodEndsAt: iso(end) }),
    ...(next ? { next } : {}),
    versions: versions.map((version) => describeVersion(key, version)),
  };
}

function describeVersion(key: Key, version: KeyVersion): KeyDescription['versions'][number] {
  const { material, imported, ...about } = version;
  // Of a compromised or destroyed version there is nothing left to process.
  const end = keyStates[version.state].uses.includes('process') ? recipientPeriodEnd(key, version) : undefined;
  return {
    ...about,
    ...(imported ? { importedAt: imported.at } : {}),
    ...(material && imported?.expiresAt !== undefined ? { materialExpiresAt: imported.expiresAt } : {}),
    ...(end === undefined ? {} : { recipientPeriodEndsAt: iso(end) }),
    ...(material ? { custody: material.custody } : {}),
    ...(material?.custody === 'wrapped' ? { kekId: material.kekId } : {}),
    ...(material?.custody === 'token' ? { token: material.token } : {}),
  };
}

/** What the workers get, signed. */
export function viewKey(key: Key): KeyView {
  const { keyId, name, algorithm, usage, environment, classification, owner, consumers, createdBy, tags } = key;
  const { revision, primaryVersion, suspended, processingAllowed, deletionAt, residency, exportable, versions } = key;
  return {
    kind: 'key',
    ...{ id: keyId, revision, keyId, name, algorithm, usage, environment, classification, owner, consumers, createdBy, tags },
    ...{ primaryVersion, suspended, processingAllowed },
    ...(deletionAt === undefined ? {} : { deletionAt }),
    ...(residency === undefined ? {} : { residency }),
    ...(exportable ? { exportable } : {}),
    versions: versions.map(({ version, state, material, publicKeySpki }) => ({
      version,
      state,
      ...(material ? { material } : {}),
      ...(publicKeySpki ? { publicKeySpki } : {}),
    })),
  };
}
