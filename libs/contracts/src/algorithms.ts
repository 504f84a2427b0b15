import { z } from 'zod';

/** What a key is for. One key has one: a key that signs and also decrypts would let one use forge the other (SP 800-57 Part 1 rev. 5 §5.2). */
export const KeyUsage = z.enum(['encrypt', 'sign', 'mac', 'wrap', 'agree', 'encapsulate']);
export type KeyUsage = z.infer<typeof KeyUsage>;

interface SchemeRow {
  /** As node:crypto names it; left out where the message itself is signed. */
  readonly hash?: 'sha256' | 'sha384' | 'sha512';
  /** Lengths in bytes of the digests that it signs. */
  readonly digestBytes: readonly number[];
  /** Of r ‖ s; ECDSA only, whose signatures can also be written as DER. */
  readonly signatureBytes?: number;
  readonly what: string;
}

/** Signature schemes by JOSE name (RFC 7518 §3.1, RFC 8037, RFC 8812, RFC 9964; SLH-DSA as its draft has it). */
const schemes = {
  ES256: { hash: 'sha256', digestBytes: [32, 48, 64], signatureBytes: 64, what: 'ECDSA P-256' },
  ES384: { hash: 'sha384', digestBytes: [48, 64], signatureBytes: 96, what: 'ECDSA P-384' },
  ES512: { hash: 'sha512', digestBytes: [64], signatureBytes: 132, what: 'ECDSA P-521' },
  ES256K: { hash: 'sha256', digestBytes: [32, 48, 64], signatureBytes: 64, what: 'ECDSA secp256k1' },
  PS256: { hash: 'sha256', digestBytes: [32], what: 'RSASSA-PSS, SHA-256, salt of 32 bytes' },
  PS384: { hash: 'sha384', digestBytes: [48], what: 'RSASSA-PSS, SHA-384, salt of 48 bytes' },
  PS512: { hash: 'sha512', digestBytes: [64], what: 'RSASSA-PSS, SHA-512, salt of 64 bytes' },
  RS256: { hash: 'sha256', digestBytes: [32], what: 'RSASSA-PKCS1-v1_5, SHA-256' },
  RS384: { hash: 'sha384', digestBytes: [48], what: 'RSASSA-PKCS1-v1_5, SHA-384' },
  RS512: { hash: 'sha512', digestBytes: [64], what: 'RSASSA-PKCS1-v1_5, SHA-512' },
  EdDSA: { digestBytes: [], what: 'Ed25519 over the message itself' },
  'ML-DSA-44': { digestBytes: [], what: 'ML-DSA-44 (FIPS 204) over the message itself, hedged, with an empty context' },
  'ML-DSA-65': { digestBytes: [], what: 'ML-DSA-65' },
  'ML-DSA-87': { digestBytes: [], what: 'ML-DSA-87' },
  'SLH-DSA-SHA2-128s': { digestBytes: [], what: 'SLH-DSA-SHA2-128s (FIPS 205) over the message itself, hedged, with an empty context' },
} as const satisfies Record<string, SchemeRow>;
export type SignatureScheme = keyof typeof schemes;
export const SignatureScheme = z.enum(Object.keys(schemes) as [SignatureScheme, ...SignatureScheme[]]);
export const signatureSchemes: Readonly<Record<SignatureScheme, SchemeRow>> = schemes;

/** MACs by JOSE name (RFC 7518 §3.2), in full length. */
export const MacAlgorithm = z.enum(['HS256', 'HS384', 'HS512']);
export type MacAlgorithm = z.infer<typeof MacAlgorithm>;

/** Key wrapping: A…KW by JOSE name (RFC 7518 §4.4, RFC 3394); A…KWP for keys of any length (RFC 5649), which JOSE has no name for. */
export const KeyWrapAlgorithm = z.enum(['A128KWP', 'A128KW', 'A256KWP', 'A256KW']);
export type KeyWrapAlgorithm = z.infer<typeof KeyWrapAlgorithm>;

/** How an ECDSA signature is written: r ‖ s, each as long as the order (RFC 7518 §3.4), or the DER of RFC 3279 §2.2.3. */
export const SignatureEncoding = z.enum(['p1363', 'der']);
export type SignatureEncoding = z.infer<typeof SignatureEncoding>;

interface AlgorithmRow {
  /**
   * What a key of it can be made for; the first when its creator does not say. With each the JOSE names of what it then does, the first being what is
   * done when the caller names none: content encryption (RFC 7518 §5.1) or, of RSA, encryption of what fits in it (§4.3), MAC, signature schemes, key wrapping, key agreement (RFC 7518 §4.6), or the parameter set of a KEM.
   */
  readonly usages: Partial<Record<KeyUsage, readonly string[]>>;
  /** A pair has a public half that anybody may see. */
  readonly pair: boolean;
  /** Of the key, or of the public half of a post-quantum one. */
  readonly keyBits: number;
  /** Security strength in bits against a classical attacker (SP 800-57 Part 1 rev. 5, tables 2 and 3). */
  readonly strengthBits: number;
  /** Where it is specified. */
  readonly standard: string;
  /** Last day on which NIST lets it protect (SP 800-57 Part 1 rev. 5 table 4; IR 8547 for what a quantum computer breaks); left out: no end is set. */
  readonly protectUntil?: '2030-12-31' | '2035-12-31';
  /** Whether CNSA 2.0 lists it for national security systems. */
  readonly cnsa2?: true;
}

const rsaSchemes = ['PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512'] as const;
const rsaUsages = { sign: rsaSchemes, encrypt: ['RSA-OAEP-256'] } as const;
const aes = { pair: false, standard: 'FIPS 197' } as const;
const hmac = { pair: false, standard: 'FIPS 198-1' } as const;
/** A quantum computer breaks it: disallowed after 2035, and with 112 bits deprecated after 2030 (IR 8547). */
const classicalPair = { pair: true, standard: 'FIPS 186-5', protectUntil: '2035-12-31' } as const;
const rsaPair = { ...classicalPair, standard: 'FIPS 186-5, SP 800-56B rev. 2' } as const;
const curvePair = { ...classicalPair, standard: 'FIPS 186-5, SP 800-56A rev. 3' } as const;
const blockchainPair = { ...classicalPair, standard: 'SEC 2; SP 800-186 for blockchains only' } as const;

/** What no quantum computer is known to break. */
const mlKem = { pair: true, standard: 'FIPS 203' } as const;
const mlDsa = { pair: true, standard: 'FIPS 204' } as const;
const slhDsa = { pair: true, standard: 'FIPS 205' } as const;

/** The one table of what a key can be. A new algorithm is a row here and one in the HSM library, which says how a token does it. */
const rows = {
  AES_128: { ...aes, usages: { encrypt: ['A128GCM'], wrap: ['A128KWP', 'A128KW'] }, keyBits: 128, strengthBits: 128 },
  AES_256: { ...aes, usages: { encrypt: ['A256GCM'], wrap: ['A256KWP', 'A256KW'] }, keyBits: 256, strengthBits: 256, cnsa2: true },
  HMAC_SHA_256: { ...hmac, usages: { mac: ['HS256'] }, keyBits: 256, strengthBits: 256 },
  HMAC_SHA_384: { ...hmac, usages: { mac: ['HS384'] }, keyBits: 384, strengthBits: 384, cnsa2: true },
  HMAC_SHA_512: { ...hmac, usages: { mac: ['HS512'] }, keyBits: 512, strengthBits: 512, cnsa2: true },
  RSA_2048: { ...rsaPair, usages: rsaUsages, keyBits: 2048, strengthBits: 112, protectUntil: '2030-12-31' },
  RSA_3072: { ...rsaPair, usages: rsaUsages, keyBits: 3072, strengthBits: 128 },
  RSA_4096: { ...rsaPair, usages: rsaUsages, keyBits: 4096, strengthBits: 152 },
  EC_P256: { ...curvePair, usages: { sign: ['ES256'], agree: ['ECDH-ES'] }, keyBits: 256, strengthBits: 128 },
  EC_P384: { ...curvePair, usages: { sign: ['ES384'], agree: ['ECDH-ES'] }, keyBits: 384, strengthBits: 192 },
  EC_P521: { ...curvePair, usages: { sign: ['ES512'], agree: ['ECDH-ES'] }, keyBits: 521, strengthBits: 256 },
  EC_SECP256K1: { ...blockchainPair, usages: { sign: ['ES256K'] }, keyBits: 256, strengthBits: 128 },
  ED25519: { ...classicalPair, usages: { sign: ['EdDSA'] }, keyBits: 256, strengthBits: 128 },
  ML_DSA_44: { ...mlDsa, usages: { sign: ['ML-DSA-44'] }, keyBits: 10_496, strengthBits: 128 },
  ML_DSA_65: { ...mlDsa, usages: { sign: ['ML-DSA-65'] }, keyBits: 15_616, strengthBits: 192 },
  ML_DSA_87: { ...mlDsa, usages: { sign: ['ML-DSA-87'] }, keyBits: 20_736, strengthBits: 256, cnsa2: true },
  SLH_DSA_SHA2_128S: { ...slhDsa, usages: { sign: ['SLH-DSA-SHA2-128s'] }, keyBits: 256, strengthBits: 128 },
  ML_KEM_768: { ...mlKem, usages: { encapsulate: ['ML-KEM-768'] }, keyBits: 9_472, strengthBits: 192 },
  ML_KEM_1024: { ...mlKem, usages: { encapsulate: ['ML-KEM-1024'] }, keyBits: 12_544, strengthBits: 256, cnsa2: true },
} as const satisfies Record<string, AlgorithmRow>;
export type Algorithm = keyof typeof rows;
export const Algorithm = z.enum(Object.keys(rows) as [Algorithm, ...Algorithm[]]);
export const algorithms: Readonly<Record<Algorithm, AlgorithmRow>> = rows;

/** What a key of this algorithm can be made for, the usual one first. */
export const usagesOf = (algorithm: Algorithm): readonly [KeyUsage, ...KeyUsage[]] =>
  Object.keys(algorithms[algorithm].usages) as [KeyUsage, ...KeyUsage[]];

/** The schemes that a key of this algorithm signs with, the usual one first; none for one that does not sign. */
export const schemesOf = (algorithm: Algorithm): readonly SignatureScheme[] =>
  (algorithms[algorithm].usages.sign ?? []) as readonly SignatureScheme[];

/** Algorithms of key pairs: those whose public half can be asked for. */
export type PairAlgorithm = { [A in Algorithm]: (typeof rows)[A]['pair'] extends true ? A : never }[Algorithm];
export const PairAlgorithm = z.enum(Algorithm.options.filter((name): name is PairAlgorithm => algorithms[name].pair));
