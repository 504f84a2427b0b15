import pkcs11, { type Template } from 'pkcs11js';
import { type Algorithm, algorithms, type KeyUsage, type PairAlgorithm } from './algorithms';

export type ObjectClass = 'secret' | 'private' | 'public';

const classes: Record<ObjectClass, number> = {
  secret: pkcs11.CKO_SECRET_KEY,
  private: pkcs11.CKO_PRIVATE_KEY,
  public: pkcs11.CKO_PUBLIC_KEY,
};

type AttributeName = `CKA_${string}` & keyof typeof pkcs11;
type Attributes = Partial<Record<AttributeName, number | boolean | string | Buffer | undefined>>;

/** Attribute list in the order written: SoftHSM accepts no attribute after CKA_MODIFIABLE false. */
export const template = (attributes: Attributes): Template =>
  (Object.entries(attributes) as [AttributeName, Template[number]['value']][]).map(([name, value]) => ({
    type: pkcs11[name] as number,
    value,
  }));

/** Every usage is said, since defaults differ between tokens: what is not granted here is refused. */
const secretUsage = (usage: KeyUsage | undefined): Attributes => ({
  CKA_ENCRYPT: usage === 'encrypt',
  CKA_DECRYPT: usage === 'encrypt',
  CKA_WRAP: usage === 'wrap',
  CKA_UNWRAP: usage === 'wrap',
  CKA_SIGN: false,
  CKA_VERIFY: false,
  CKA_DERIVE: false,
});
const privateUsage = (usage: KeyUsage | undefined): Attributes => ({
  CKA_SIGN: usage === 'sign',
  CKA_DECRYPT: false,
  CKA_UNWRAP: false,
  CKA_DERIVE: false,
});
/** Neither a changed copy nor a changed attribute may widen the usage afterwards. */
const sealed: Attributes = { CKA_COPYABLE: false, CKA_MODIFIABLE: false };
const secrecy = (extractable: boolean): Attributes => ({ CKA_PRIVATE: true, CKA_SENSITIVE: true, CKA_EXTRACTABLE: extractable });

/** AES-256 key to be generated; `label` makes it a token object. */
export const secretKeyTemplate = (key: { label?: string; usage?: KeyUsage; extractable: boolean }): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_SECRET_KEY,
    CKA_KEY_TYPE: algorithms.AES_256.keyType,
    CKA_VALUE_LEN: algorithms.AES_256.keyBytes,
    CKA_TOKEN: key.label !== undefined,
    ...(key.label === undefined ? {} : { CKA_LABEL: key.label }),
    ...secrecy(key.extractable),
    ...secretUsage(key.usage),
    ...sealed,
  });

/** Key pair to be generated; `label` makes both halves token objects. */
export const keyPairTemplates = (algorithm: PairAlgorithm, key: { label?: string; usage?: KeyUsage; extractable: boolean }) => {
  const place: Attributes = { CKA_TOKEN: key.label !== undefined, ...(key.label === undefined ? {} : { CKA_LABEL: key.label }) };
  return {
    publicKey: template({
      CKA_CLASS: pkcs11.CKO_PUBLIC_KEY,
      CKA_KEY_TYPE: algorithms[algorithm].keyType,
      CKA_EC_PARAMS: Buffer.from(algorithms[algorithm].ecParams, 'hex'),
      ...place,
      CKA_PRIVATE: false,
      CKA_VERIFY: true,
      CKA_MODIFIABLE: false,
    }),
    privateKey: template({
      CKA_CLASS: pkcs11.CKO_PRIVATE_KEY,
      CKA_KEY_TYPE: algorithms[algorithm].keyType,
      ...place,
      ...secrecy(key.extractable),
      ...privateUsage(key.usage),
      ...sealed,
    }),
  };
};

/** Session object that an unwrapped key becomes: usable, and never to leave again. */
export const unwrappedTemplate = (algorithm: Algorithm, usage: KeyUsage): Template => {
  const secret = algorithms[algorithm].shape === 'secret';
  return template({
    CKA_CLASS: secret ? pkcs11.CKO_SECRET_KEY : pkcs11.CKO_PRIVATE_KEY,
    CKA_KEY_TYPE: algorithms[algorithm].keyType,
    CKA_TOKEN: false,
    ...secrecy(false),
    ...(secret ? secretUsage(usage) : privateUsage(usage)),
    ...sealed,
  });
};

/** Known AES-256 key as a session object, for the known-answer test only. */
export const knownKeyTemplate = (value: Buffer): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_SECRET_KEY,
    CKA_KEY_TYPE: algorithms.AES_256.keyType,
    CKA_VALUE: value,
    CKA_TOKEN: false,
    ...secrecy(false),
    ...secretUsage('encrypt'),
    ...sealed,
  });

/** Public half as a session object that can only verify; `ecPoint` is the DER octet string that CKA_EC_POINT takes (PKCS#11 v3.1 §6.3.3). */
export const publicKeyTemplate = (algorithm: PairAlgorithm, ecPoint: Buffer): Template =>
  template({
    CKA_CLASS: pkcs11.CKO_PUBLIC_KEY,
    CKA_KEY_TYPE: algorithms[algorithm].keyType,
    CKA_TOKEN: false,
    CKA_PRIVATE: false,
    CKA_EC_PARAMS: Buffer.from(algorithms[algorithm].ecParams, 'hex'),
    CKA_EC_POINT: ecPoint,
    CKA_VERIFY: true,
  });

/** Token objects with this label; of one class, or of any. */
export const searchTemplate = (label: string, objectClass?: ObjectClass): Template =>
  template({ ...(objectClass ? { CKA_CLASS: classes[objectClass] } : {}), CKA_TOKEN: true, CKA_LABEL: label });

/** Private: it is visible only to a session that is logged in, so seeing it proves storage and login at once. */
export const canarySearchTemplate = (label: string): Template => template({ CKA_TOKEN: true, CKA_PRIVATE: true, CKA_LABEL: label });

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
