import type { KeyDescription } from '@claviger/contracts';

type Version = KeyDescription['versions'][number];
let ids = 0;

export const described = (more: Partial<KeyDescription> = {}): KeyDescription => {
  const n = String(ids++);
  return {
    keyId: `k_${n.padStart(22, 'A')}`,
    name: `payments/${n}`,
    algorithm: 'AES_256',
    usage: 'encrypt',
    environment: 'production',
    classification: 'internal',
    owner: 'kim',
    team: 'payments',
    consumers: ['payments-api'],
    tags: {},
    origin: 'generated',
    exportable: false,
    cryptoperiod: { originatorDays: 730, recipientDays: 1_825 },
    atEnd: 'warn',
    revision: 1,
    primaryVersion: 1,
    suspended: false,
    purgeProtected: false,
    data: [],
    processingAllowed: false,
    versions: [version()],
    ...more,
  };
};

export function version(more: Partial<Version> = {}): Version {
  const createdAt = '2026-03-01T12:00:00.000Z';
  const { state = 'active' } = more;
  return {
    ...{ version: 1, state, createdAt, custody: 'wrapped', kekId: 'kek_production_internal_1' },
    transitions: [{ to: 'active', at: createdAt, reason: 'created' }],
    ...more,
  };
}

/** As a destroyed version is described: no material is there any more. */
export function destroyedVersion(): Version {
  const { custody: _, kekId: __, ...rest } = version({ state: 'destroyed' });
  return rest;
}
