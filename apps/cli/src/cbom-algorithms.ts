import { type Algorithm, algorithms, type KeyUsage } from '@claviger/contracts';

/** What CycloneDX 1.6 says of an algorithm beside what the table of the contract has (`cryptoProperties.algorithmProperties`). */
interface CbomAlgorithm {
  readonly name: string;
  readonly primitive: 'ae' | 'block-cipher' | 'key-agree' | 'kem' | 'mac' | 'pke' | 'signature';
  readonly cryptoFunctions: readonly string[];
  /** Dotted decimal. */
  readonly oid: string;
  readonly parameterSetIdentifier?: string;
  readonly curve?: string;
  readonly mode?: 'gcm';
  readonly padding?: 'oaep';
}

const nistAes = '2.16.840.1.101.3.4.1';
const nistSignature = '2.16.840.1.101.3.4.3';
const nistKem = '2.16.840.1.101.3.4.4';
const hmacDigest = '1.2.840.113549.2';
const pkcs1 = '1.2.840.113549.1.1';
const ecdsaWith = '1.2.840.10045.4.3';

const gcm = (bits: string, oid: string): CbomAlgorithm => ({
  ...{ name: `AES-${bits}-GCM`, primitive: 'ae', cryptoFunctions: ['keygen', 'encrypt', 'decrypt', 'tag'], mode: 'gcm' },
  ...{ parameterSetIdentifier: bits, oid },
});
const keyWrap = (bits: string, oid: string): CbomAlgorithm => ({
  ...{ name: `AES-${bits} key wrap with padding`, primitive: 'block-cipher', cryptoFunctions: ['keygen', 'encrypt', 'decrypt'] },
  ...{ parameterSetIdentifier: bits, oid },
});
const hmac = (bits: string, oid: string): CbomAlgorithm => ({
  ...{ name: `HMAC-SHA-${bits}`, primitive: 'mac', cryptoFunctions: ['keygen', 'tag', 'verify'], parameterSetIdentifier: bits, oid },
});
/** PKCS#1 keys are used with PSS and with PKCS#1 v1.5, so the object identifier is that of the key. */
const rsa = (bits: string): Partial<Record<KeyUsage, CbomAlgorithm>> => ({
  sign: {
    ...{ name: `RSA-${bits}`, primitive: 'signature', cryptoFunctions: ['keygen', 'sign', 'verify'] },
    ...{ parameterSetIdentifier: bits, oid: `${pkcs1}.1` },
  },
  encrypt: {
    ...{ name: `RSAES-OAEP-${bits}`, primitive: 'pke', cryptoFunctions: ['keygen', 'encrypt', 'decrypt'], padding: 'oaep' },
    ...{ parameterSetIdentifier: bits, oid: `${pkcs1}.7` },
  },
});
const signature = (name: string, oid: string, more: Partial<CbomAlgorithm> = {}): CbomAlgorithm => ({
  ...{ name, primitive: 'signature', cryptoFunctions: ['keygen', 'sign', 'verify'], oid },
  ...more,
});
const ec = (bits: string, curve: string, ecdsaOid: string): Partial<Record<KeyUsage, CbomAlgorithm>> => ({
  sign: signature(`ECDSA-${curve}`, ecdsaOid, { parameterSetIdentifier: bits, curve }),
  agree: {
    ...{ name: `ECDH-${curve}`, primitive: 'key-agree', cryptoFunctions: ['keygen', 'keyderive'] },
    ...{ parameterSetIdentifier: bits, curve, oid: '1.3.132.1.12' },
  },
});
const kem = (set: string, oid: string): CbomAlgorithm => ({
  ...{
    name: `ML-KEM-${set}`,
    primitive: 'kem',
    cryptoFunctions: ['keygen', 'encapsulate', 'decapsulate'],
    parameterSetIdentifier: set,
    oid,
  },
});

/**
 * By algorithm and usage. Object identifiers: NIST's register of computer security objects (AES, HMAC of FIPS 198-1 by RFC 8018 appendix B,
 * ML-DSA, SLH-DSA, ML-KEM), RFC 8017 appendix C, RFC 5758 §3.2 and RFC 5480 §2 (ECDSA, ECDH), RFC 8410 §3 (Ed25519).
 */
export const cbomAlgorithms: Readonly<Record<Algorithm, Partial<Record<KeyUsage, CbomAlgorithm>>>> = {
  AES_128: { encrypt: gcm('128', `${nistAes}.6`), wrap: keyWrap('128', `${nistAes}.8`) },
  AES_256: { encrypt: gcm('256', `${nistAes}.46`), wrap: keyWrap('256', `${nistAes}.48`) },
  HMAC_SHA_256: { mac: hmac('256', `${hmacDigest}.9`) },
  HMAC_SHA_384: { mac: hmac('384', `${hmacDigest}.10`) },
  HMAC_SHA_512: { mac: hmac('512', `${hmacDigest}.11`) },
  RSA_2048: rsa('2048'),
  RSA_3072: rsa('3072'),
  RSA_4096: rsa('4096'),
  EC_P256: ec('256', 'P-256', `${ecdsaWith}.2`),
  EC_P384: ec('384', 'P-384', `${ecdsaWith}.3`),
  EC_P521: ec('521', 'P-521', `${ecdsaWith}.4`),
  EC_SECP256K1: { sign: signature('ECDSA-secp256k1', `${ecdsaWith}.2`, { parameterSetIdentifier: '256', curve: 'secp256k1' }) },
  ED25519: { sign: signature('Ed25519', '1.3.101.112', { curve: 'Ed25519' }) },
  ML_DSA_44: { sign: signature('ML-DSA-44', `${nistSignature}.17`, { parameterSetIdentifier: '44' }) },
  ML_DSA_65: { sign: signature('ML-DSA-65', `${nistSignature}.18`, { parameterSetIdentifier: '65' }) },
  ML_DSA_87: { sign: signature('ML-DSA-87', `${nistSignature}.19`, { parameterSetIdentifier: '87' }) },
  SLH_DSA_SHA2_128S: { sign: signature('SLH-DSA-SHA2-128s', `${nistSignature}.20`, { parameterSetIdentifier: 'SHA2-128s' }) },
  ML_KEM_768: { encapsulate: kem('768', `${nistKem}.2`) },
  ML_KEM_1024: { encapsulate: kem('1024', `${nistKem}.3`) },
};

/**
 * Security category of the NIST post-quantum process (1 = AES-128, 3 = AES-192, 5 = AES-256; ML-DSA-44 has 2), 0 for what a quantum computer breaks.
 * Undefined for HMAC, to which NIST assigns none.
 */
export function nistQuantumSecurityLevel(algorithm: Algorithm): number | undefined {
  const { protectUntil, strengthBits, usages } = algorithms[algorithm];
  if ('mac' in usages) return undefined;
  if (protectUntil !== undefined) return 0;
  if (algorithm === 'ML_DSA_44') return 2;
  return strengthBits >= 256 ? 5 : strengthBits >= 192 ? 3 : 1;
}
