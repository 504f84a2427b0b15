import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { KnownToken } from '@claviger/contracts';
import type { RecordSigner } from '@claviger/messaging';
import { createKey, type Key, type NewKey } from '../src/key';

export const now = '2026-03-01T12:00:00.000Z';
export const nowMs = Date.parse(now);
export const made = (n = 1) => ({
  material: {
    custody: 'wrapped' as const,
    kekId: 'kek_production_internal_1',
    mechanism: 0x210a,
    family: 'softhsm',
    wrapped: `wrapped-${n}`,
  },
});
let ids = 0;
export const about = (more: Partial<NewKey> = {}): NewKey => {
  const n = String(ids++).padStart(22, 'A');
  return {
    keyId: `k_${n}`,
    name: `payments/${n.toLowerCase()}`,
    algorithm: 'AES_256',
    usage: 'encrypt',
    environment: 'production',
    classification: 'internal',
    owner: 'kim',
    consumers: ['payments-api'],
    tags: {},
    createdBy: 'kim',
    ...more,
  };
};
export const newKey = (more: Partial<NewKey> = {}): Key => createKey(about(more), made(), now);

/** An ES256 key where the service has one in its token. */
export function signer(kid = 'control-1'): RecordSigner & { trusted: ReadonlyMap<string, KeyObject> } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    kid,
    trusted: new Map([[kid, publicKey]]),
    sign: (input) => sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  };
}

/** A record of the token that has the roots, or of another one, as a security officer writes it. */
export const knownToken = (validation: object = {}, label = 'customer'): KnownToken => ({
  ...{ label, vendor: 'Example HSM', model: 'K7', firmware: '7.8.1', contact: 'psirt@vendor.example' },
  incidents: { terms: 'support contract 17', notifyWithinHours: 24 },
  validation: {
    ...{ standard: 'FIPS 140-3', certificate: '4567', level: 3, firmware: ['7.8.1'], validUntil: '2099-12-31', status: 'active' },
    ...validation,
  },
});
