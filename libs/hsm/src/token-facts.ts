import { createHash } from 'node:crypto';
import type { PairAlgorithm, TokenFamily } from './algorithms';
import { type AttributeName, template } from './templates';
import { Token } from './token';
import { findTokenKey } from './token-keys';

/** What token and library say of themselves (CK_TOKEN_INFO, CK_INFO; PKCS#11 v3.1 §3.1, §3.2). */
export interface TokenFacts {
  readonly label: string;
  readonly serialNumber: string;
  readonly manufacturer: string;
  readonly model: string;
  readonly firmware: string;
  readonly family: TokenFamily;
  readonly library: string;
}

/** A token key as the token shows it. */
export interface KeyFacts {
  readonly label: string;
  readonly class: 'secret' | 'private';
  readonly algorithm: string;
  /** SHA-256 of the public half's SPKI, hexadecimal. */
  readonly fingerprint?: string;
  /** base64url. */
  readonly publicKeySpki?: string;
  readonly attributes: Readonly<Record<string, boolean>>;
}

const secrecy = [
  'CKA_SENSITIVE',
  'CKA_ALWAYS_SENSITIVE',
  'CKA_EXTRACTABLE',
  'CKA_NEVER_EXTRACTABLE',
  'CKA_LOCAL',
  'CKA_MODIFIABLE',
] as const;
const usages = {
  secret: ['CKA_WRAP', 'CKA_UNWRAP', 'CKA_ENCRYPT', 'CKA_DECRYPT'],
  private: ['CKA_SIGN', 'CKA_DECRYPT', 'CKA_UNWRAP'],
} as const;

/** @throws HsmError HSM_UNAVAILABLE */
export function tokenFacts(token: Token): TokenFacts {
  const connection = Token.connectionOf(token);
  const { library, info } = connection.call('read', (p11, { slot }) => ({ library: p11.C_GetInfo(), info: p11.C_GetTokenInfo(slot) }));
  const { major, minor } = info.firmwareVersion;
  return {
    label: info.label.trim(),
    serialNumber: info.serialNumber.trim(),
    manufacturer: info.manufacturerID.trim(),
    model: info.model.trim(),
    firmware: `${major}.${minor}`,
    family: token.family,
    library: `${library.libraryDescription.trim()} ${library.libraryVersion.major}.${library.libraryVersion.minor}`,
  };
}

/** Its attributes are read back from the token, not repeated from what was asked for. @throws HsmError HSM_KEY_NOT_FOUND, HSM_UNAVAILABLE */
export function keyFacts(token: Token, label: string, objectClass: 'secret' | 'private'): KeyFacts {
  const connection = Token.connectionOf(token);
  const { object, algorithm } = findTokenKey(connection, label, objectClass);
  const names: readonly AttributeName[] = [...secrecy, ...usages[objectClass]];
  const wanted = template(Object.fromEntries(names.map((name) => [name, undefined])));
  const read = connection.call('read', (p11, { objects }) => p11.C_GetAttributeValue(objects, object, wanted));
  const attributes = Object.fromEntries(names.map((name, i) => [name, read[i]!.value[0] === 1]));
  if (objectClass === 'secret') return { label, class: objectClass, algorithm, attributes };
  const spki = token.publicKeySpki(label);
  return {
    ...{ label, class: objectClass, algorithm: algorithm as PairAlgorithm, attributes },
    fingerprint: createHash('sha256').update(spki).digest('hex'),
    publicKeySpki: spki.toString('base64url'),
  };
}
