import { constants, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { DigestScheme } from '../src/index';

/** What node:crypto (OpenSSL) makes of the same things. */

const optionsOf = (scheme: string, key: KeyObject) =>
  scheme.startsWith('PS')
    ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : { key, dsaEncoding: 'ieee-p1363' as const };

/** The hash of a JOSE name, as node:crypto writes it. */
export const hashOf = (scheme: DigestScheme): string => `sha${scheme.slice(2, 5)}`;

export const verifiesOutside = (scheme: DigestScheme, spki: Buffer, message: Buffer, signature: Buffer, hash = hashOf(scheme)): boolean =>
  verify(hash, message, optionsOf(scheme, createPublicKey({ key: spki, format: 'der', type: 'spki' })), signature);

export const signOutside = (scheme: DigestScheme, key: KeyObject, message: Buffer, hash = hashOf(scheme)): Buffer =>
  sign(hash, message, optionsOf(scheme, key));
