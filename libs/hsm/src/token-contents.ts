import { type Algorithm, algorithmNames, isCurve, isPair, keyTypes, rowOf } from './algorithms';
import type { Connection } from './connection';
import { readAlgorithm, readSpki } from './public-keys';
import { shown, shownAttribute, shownObjects } from './shown-objects';
import { type AttributeName, classTemplate, type ObjectClass } from './templates';
import { Token } from './token';

/** A key object of a token, whoever made it, as the token shows it. */
export interface TokenObject {
  /** CKA_LABEL, or CKA_ID in hexadecimal where there is none. */
  readonly label: string;
  readonly class: ObjectClass;
  /** Undefined for one that the table does not hold. */
  readonly algorithm?: Algorithm;
  /** CKA_KEY_TYPE, and the bits of the modulus or of the value where the token says them. */
  readonly keyType: number;
  readonly keyBits?: number;
  /** DER SubjectPublicKeyInfo, of a public half that is there too and is of a known algorithm. */
  readonly publicKeySpki?: Buffer;
  /** Those that the token says. */
  readonly attributes: Readonly<Partial<Record<Examined, boolean>>>;
}

const examined = [
  ...(['CKA_SENSITIVE', 'CKA_EXTRACTABLE', 'CKA_NEVER_EXTRACTABLE', 'CKA_LOCAL', 'CKA_PRIVATE'] as const),
  ...(['CKA_WRAP', 'CKA_UNWRAP', 'CKA_ENCRYPT', 'CKA_DECRYPT', 'CKA_SIGN'] as const),
] as const;
type Examined = (typeof examined)[number];

/**
 * Every key object of a token, also such as this lib did not make. Secret and private keys are seen only by whom they are shown to: the token is logged in.
 * @throws HsmError HSM_UNAVAILABLE
 */
export function tokenContents(token: Token): TokenObject[] {
  const connection = Token.connectionOf(token);
  const publicKeys = handlesOf(connection, 'public').map((handle) => described(connection, handle, 'public'));
  const others = (['secret', 'private'] as const).flatMap((kind) =>
    handlesOf(connection, kind).map((handle) => described(connection, handle, kind)),
  );
  return [...others.map((one) => withPublicHalf(one, publicKeys)), ...publicKeys].map(({ id: _, ...object }) => object);
}

type Identified = TokenObject & { id: string };

/** A private key does not give its public half; the pair's other object does, by id or else by label. */
function withPublicHalf(one: Identified, publicKeys: readonly Identified[]): Identified {
  if (one.class !== 'private') return one;
  const half =
    publicKeys.find(({ id, algorithm }) => id !== '' && id === one.id && algorithm === one.algorithm) ??
    publicKeys.find(({ label, algorithm }) => label === one.label && algorithm === one.algorithm);
  return half?.publicKeySpki ? { ...one, publicKeySpki: half.publicKeySpki } : one;
}

const handlesOf = (connection: Connection, objectClass: ObjectClass): Buffer[] => shownObjects(connection, classTemplate(objectClass));

function described(connection: Connection, object: Buffer, objectClass: ObjectClass): Identified {
  const one = (name: AttributeName) => shownAttribute(connection, object, name);
  const keyType = one('CKA_KEY_TYPE')?.readUInt32LE(0) ?? -1;
  const id = one('CKA_ID')?.toString('hex') ?? '';
  const label = one('CKA_LABEL')?.toString('utf8').replaceAll('\0', '').trim() || id || 'without a label';
  const algorithm = shown(() => readAlgorithm(connection, object));
  const bits = bitsOf(one, keyType, objectClass);
  const spki =
    objectClass === 'public' && algorithm && isPair(algorithm) ? shown(() => readSpki(connection, object, algorithm)) : undefined;
  const attributes = Object.fromEntries(examined.flatMap((name) => ((value) => (value ? [[name, value[0] === 1]] : []))(one(name))));
  return {
    ...{ id, label, class: objectClass, keyType, attributes },
    ...(algorithm ? { algorithm } : {}),
    ...(bits === undefined ? {} : { keyBits: bits }),
    ...(spki ? { publicKeySpki: spki } : {}),
  };
}

function bitsOf(one: (name: AttributeName) => Buffer | undefined, keyType: number, objectClass: ObjectClass): number | undefined {
  if (keyType === keyTypes.RSA) {
    const modulus = one('CKA_MODULUS');
    return modulus && 8 * (modulus[0] === 0 ? modulus.length - 1 : modulus.length);
  }
  const bytes = objectClass === 'secret' ? one('CKA_VALUE_LEN')?.readUInt32LE(0) : undefined;
  return bytes === undefined ? undefined : 8 * bytes;
}

/** Names of key types that the table does not hold (PKCS#11 v3.1 §4.1.3), for people. */
const otherTypes: Readonly<Record<number, string>> = { 1: 'DSA', 2: 'DH', 19: 'DES', 20: 'DES2', 21: 'DES3', 18: 'RC4', 32: 'BLOWFISH' };

export function typeNameOf({ algorithm, keyType, keyBits }: TokenObject): string {
  if (algorithm) return algorithm;
  const known = algorithmNames.find((name) => rowOf(name).keyType === keyType);
  const family = otherTypes[keyType] ?? (known === undefined ? `key type ${keyType}` : isCurve(known) ? 'EC' : known.split('_')[0]);
  return keyBits === undefined ? String(family) : `${family}_${keyBits}`;
}
