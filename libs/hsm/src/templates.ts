import pkcs11, { type Template } from 'pkcs11js';
import {
  type Algorithm,
  algorithms,
  type KeyUsage,
  keyTypes,
  type PairAlgorithm,
  type PqAlgorithm,
  rowOf,
  rsaPublicExponent,
  type SecretAlgorithm,
  usagesOf,
} from './algorithms';
import type { PqPrivateParts } from './pq-private';
import { octetString, type PublicParts } from './spki';

export type ObjectClass = 'secret' | 'private' | 'public';

const classes: Record<ObjectClass, number> = {
  secret: pkcs11.CKO_SECRET_KEY,
  private: pkcs11.CKO_PRIVATE_KEY,
  public: pkcs11.CKO_PUBLIC_KEY,
};

/** Of PKCS#11 v3.2, which the binding does not know. */
const v32 = { CKA_PARAMETER_SET: 0x61d, CKA_ENCAPSULATE: 0x633, CKA_DECAPSULATE: 0x634, CKA_SEED: 0x637 } as const;
export type AttributeName = (`CKA_${string}` & keyof typeof pkcs11) | keyof typeof v32;
const typeOf = (name: AttributeName): number =>
  (name in v32 ? v32[name as keyof typeof v32] : pkcs11[name as keyof typeof pkcs11]) as number;
/** What a public half is for. */
export type PublicUsage = 'sign' | 'encrypt' | 'encapsulate' | 'wrap';
type Attributes = Partial<Record<AttributeName, number | boolean | string | Buffer | undefined>>;

/** Attribute list in the order written: SoftHSM accepts no attribute after CKA_MODIFIABLE false. */
export const template = (attributes: Attributes): Template =>
  (Object.entries(attributes) as [AttributeName, Template[number]['value']][]).map(([name, value]) => ({
    type: typeOf(name),
    value,
  }));

/** Every usage is said, since defaults differ between tokens: what is not granted here is refused. */
const secretUsage = (usage: KeyUsage | undefined): Attributes => ({
  CKA_ENCRYPT: usage === 'encrypt',
  CKA_DECRYPT: usage === 'encrypt',
  CKA_WRAP: usage === 'wrap',
  CKA_UNWRAP: usage === 'wrap',
  CKA_SIGN: usage === 'mac',
  CKA_VERIFY: usage === 'mac',
  CKA_DERIVE: false,
});
const privateUsage = (usage: KeyUsage | undefined): Attributes => ({
  CKA_SIGN: usage === 'sign',
  CKA_DECRYPT: usage === 'encrypt',
  CKA_UNWRAP: false,
  CKA_DERIVE: usage === 'agree',
  // Only where it is meant: older tokens know no such attribute.
  ...(usage === 'encapsulate' ? { CKA_DECAPSULATE: true } : {}),
});
const publicUsage = (usage: PublicUsage): Attributes => ({
  CKA_VERIFY: usage === 'sign',
  CKA_ENCRYPT: usage === 'encrypt',
  CKA_WRAP: usage === 'wrap',
  ...(usage === 'encapsulate' ? { CKA_ENCAPSULATE: true } : {}),
});
/** Of a generated pair: what its private half undoes. One for wrapping is used in whatever way it will be; only its bytes are read here. */
const publicHalfUsage = (algorithm: PairAlgorithm, usage: KeyUsage | undefined): Attributes =>
  usagesOf(algorithm).includes('encapsulate')
    ? { CKA_ENCAPSULATE: true }
    : usage === 'encrypt'
      ? { CKA_ENCRYPT: true }
      : { CKA_VERIFY: true };
/** Neither a changed copy nor a changed attribute may widen the usage afterwards. */
const sealed: Attributes = { CKA_COPYABLE: false, CKA_MODIFIABLE: false };
const secrecy = (extractable: boolean): Attributes => ({ CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_EXTRACTABLE: extractable });
const placeOf = (label: string | undefined): Attributes => ({
  CKA_TOKEN: label !== undefined,
  ...(label === undefined ? {} : { CKA_LABEL: label }),
});

interface KeyRequest {
  /** Makes it a token object; a pair, both halves. */
  label?: string;
  usage?: KeyUsage;
  extractable: boolean;
}

/** Secret key to be generated. */
export const secretKeyTemplate = (algorithm: SecretAlgorithm, key: KeyRequest): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_SECRET_KEY,
    CKA_KEY_TYPE: rowOf(algorithm).keyType,
    CKA_VALUE_LEN: algorithms[algorithm].keyBytes,
    ...placeOf(key.label),
    ...secrecy(key.extractable),
    ...secretUsage(key.usage),
    ...sealed,
  });

/** Key pair to be generated. */
export const keyPairTemplates = (algorithm: PairAlgorithm, key: KeyRequest) => ({
  publicKey: template({
    CKA_CLASS: pkcs11.CKO_PUBLIC_KEY,
    CKA_KEY_TYPE: rowOf(algorithm).keyType,
    ...domainOf(algorithm),
    ...placeOf(key.label),
    CKA_PRIVATE: false,
    ...publicHalfUsage(algorithm, key.usage),
    CKA_MODIFIABLE: false,
  }),
  privateKey: template({
    CKA_CLASS: pkcs11.CKO_PRIVATE_KEY,
    CKA_KEY_TYPE: rowOf(algorithm).keyType,
    ...placeOf(key.label),
    ...secrecy(key.extractable),
    ...privateUsage(key.usage),
    ...sealed,
  }),
});

/** Session object that an unwrapped key becomes: usable, and never to leave again. */
export const unwrappedTemplate = (algorithm: Algorithm, usage: KeyUsage): Template =>
  sessionObject(algorithm, { usage, extractable: false });

/** Session object that a wrapped key is on its way from one wrapping key to another, or to a recipient: of no use but to be wrapped. */
export const passingKeyTemplate = (algorithm: Algorithm): Template => sessionObject(algorithm, { extractable: true });

function sessionObject(algorithm: Algorithm, { usage, extractable }: Pick<KeyRequest, 'usage' | 'extractable'>): Template {
  const secret = rowOf(algorithm).shape === 'secret';
  return template({
    CKA_CLASS: secret ? pkcs11.CKO_SECRET_KEY : pkcs11.CKO_PRIVATE_KEY,
    CKA_KEY_TYPE: rowOf(algorithm).keyType,
    CKA_TOKEN: false,
    ...secrecy(extractable),
    ...(secret ? secretUsage(usage) : privateUsage(usage)),
    ...sealed,
  });
}

/**
 * Private half of a recovery group: it opens what was encrypted or wrapped to the group, signs nothing, and never leaves. Both, unlike a receiver: which
 * one a blob needs depends on the token that it is opened in, and that is not known when it is made.
 */
export const recoveryKeyTemplate = (): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_PRIVATE_KEY,
    CKA_KEY_TYPE: keyTypes.RSA,
    CKA_TOKEN: false,
    ...secrecy(false),
    ...privateUsage('encrypt'),
    CKA_UNWRAP: true,
    ...sealed,
  });

/** A private RSA key that takes keys in: by unwrapping them, or, for a token that has not the hash, by raw decryption of the key that carries them. */
export const receiverTemplate = (how: 'unwrap' | 'decrypt'): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_PRIVATE_KEY,
    CKA_KEY_TYPE: keyTypes.RSA,
    CKA_TOKEN: false,
    ...secrecy(false),
    ...privateUsage(undefined),
    CKA_DECRYPT: how === 'decrypt',
    CKA_UNWRAP: how === 'unwrap',
    ...sealed,
  });

/** The AES-256 key that carries another key for one transport: one way only. `value`: where it was made or opened outside of the token. */
export const carrierTemplate = (way: 'wrap' | 'unwrap', from: 'generated' | 'unwrapped' | Buffer): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_SECRET_KEY,
    CKA_KEY_TYPE: keyTypes.AES,
    ...(from === 'generated' ? { CKA_VALUE_LEN: algorithms.AES_256.keyBytes } : {}),
    ...(Buffer.isBuffer(from) ? { CKA_VALUE: from } : {}),
    CKA_TOKEN: false,
    ...secrecy(from === 'generated'),
    ...secretUsage(undefined),
    CKA_WRAP: way === 'wrap',
    CKA_UNWRAP: way === 'unwrap',
    ...sealed,
  });

/** Unwrapped for one step of the examination of a key that somebody sent: it does only that, and does not leave. */
export const examinedKeyTemplate = (algorithm: Algorithm, does: 'mac' | 'derive' | 'sign'): Template =>
  sessionObject(algorithm, { usage: does === 'derive' ? 'agree' : does, extractable: false });

/** Known secret key as a session object: for known-answer tests, and for a key that lives for one call. */
export const knownKeyTemplate = (value: Buffer, algorithm: SecretAlgorithm = 'AES_256', usage: KeyUsage = 'encrypt'): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_SECRET_KEY,
    CKA_KEY_TYPE: rowOf(algorithm).keyType,
    CKA_VALUE: value,
    CKA_TOKEN: false,
    ...secrecy(false),
    ...secretUsage(usage),
    ...sealed,
  });

/** Known post-quantum private half as a session object. */
export const knownPrivateTemplate = (algorithm: PqAlgorithm, { seed, value }: PqPrivateParts, usage: KeyUsage): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_PRIVATE_KEY,
    CKA_KEY_TYPE: rowOf(algorithm).keyType,
    CKA_TOKEN: false,
    ...domainOf(algorithm),
    ...(seed ? { CKA_SEED: seed } : {}),
    ...(value ? { CKA_VALUE: value } : {}),
    ...secrecy(false),
    ...privateUsage(usage),
    ...sealed,
  });

/**
 * Secret of a caller's that passes through the token within one call: one that goes in by its value and out wrapped, or one that comes out of a blob
 * or a key agreement and is read (`sensitive: false`). `bytes`: how much a derivation is to give.
 */
export const passingSecretTemplate = ({ value, bytes, sensitive }: { value?: Buffer; bytes?: number; sensitive: boolean }): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_SECRET_KEY,
    CKA_KEY_TYPE: keyTypes.GENERIC_SECRET,
    CKA_TOKEN: false,
    ...(value ? { CKA_VALUE: value } : {}),
    ...(bytes ? { CKA_VALUE_LEN: bytes } : {}),
    ...secrecy(true),
    CKA_SENSITIVE: sensitive,
    ...secretUsage(undefined),
    ...sealed,
  });

/** Public half as a session object that can only verify, or only encrypt. */
export const publicKeyTemplate = (algorithm: PairAlgorithm, parts: PublicParts, usage: PublicUsage): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_PUBLIC_KEY,
    CKA_KEY_TYPE: rowOf(algorithm).keyType,
    CKA_TOKEN: false,
    CKA_PRIVATE: false,
    ...('point' in parts
      ? { ...domainOf(algorithm), CKA_EC_POINT: octetString(parts.point) }
      : 'value' in parts
        ? { ...domainOf(algorithm), CKA_VALUE: parts.value }
        : { CKA_MODULUS: parts.modulus, CKA_PUBLIC_EXPONENT: parts.exponent }),
    ...publicUsage(usage),
  });

/** Token objects with this label; of one class, or of any. */
export const searchTemplate = (label: string, objectClass?: ObjectClass): Template =>
  template({ ...(objectClass ? { CKA_CLASS: classes[objectClass] } : {}), CKA_TOKEN: true, CKA_LABEL: label });

/** Token objects of one class. */
export const classTemplate = (objectClass: ObjectClass): Template => template({ CKA_CLASS: classes[objectClass], CKA_TOKEN: true });

/** Private: it is visible only to a session that is logged in, so seeing it proves storage and login at once. */
export const canarySearchTemplate = (label: string): Template => template({ CKA_TOKEN: true, CKA_PRIVATE: true, CKA_LABEL: label });

/** That which is made for this alone; a key may be a canary too. */
export const madeCanarySearchTemplate = (label: string): Template =>
  template({ CKA_CLASS: pkcs11.CKO_DATA, CKA_TOKEN: true, CKA_PRIVATE: true, CKA_LABEL: label });

export const canaryTemplate = (label: string): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_DATA,
    CKA_TOKEN: true,
    CKA_PRIVATE: true,
    CKA_LABEL: label,
    CKA_APPLICATION: 'claviger',
    CKA_VALUE: Buffer.from('the token is readable'),
    CKA_MODIFIABLE: false,
  });

/** What a pair is generated from: its curve, its parameter set, or the length of its modulus. */
function domainOf(algorithm: PairAlgorithm): Attributes {
  const row = algorithms[algorithm];
  if (row.kind === 'pq') return { CKA_PARAMETER_SET: row.parameterSet };
  return row.kind === 'rsa'
    ? { CKA_MODULUS_BITS: row.modulusBits, CKA_PUBLIC_EXPONENT: rsaPublicExponent }
    : { CKA_EC_PARAMS: Buffer.from(row.ecParams, 'hex') };
}
