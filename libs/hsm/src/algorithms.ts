import { mechanisms } from './mechanisms';

/** PKCS#11 v3.2 numbers, so that this table needs no library. */
const CKK_RSA = 0x00;
const CKK_EC = 0x03;
const CKK_GENERIC_SECRET = 0x10;
const CKK_AES = 0x1f;
const CKK_EC_EDWARDS = 0x40;
const CKK_ML_KEM = 0x49;
const CKK_ML_DSA = 0x4a;
const CKK_SLH_DSA = 0x4b;

/** What a key may do, and nothing else: a KEK that could also decrypt would open what it wraps (wrap, then decrypt). */
export type KeyUsage = 'encrypt' | 'sign' | 'mac' | 'wrap' | 'agree' | 'encapsulate';

/** Fewest and most bytes of a wrapped key: tokens differ in the optional fields of a PKCS#8 PrivateKeyInfo. */
type Range = readonly [least: number, most: number];

interface Row {
  keyType: number;
  generate: number;
  /** The mechanism without which such a key is of no use. */
  operate: number;
  usages: readonly KeyUsage[];
  wrappedBytes: Range;
}
export interface SecretRow extends Row {
  shape: 'secret';
  keyBytes: number;
}
export interface CurveRow extends Row {
  shape: 'pair';
  kind: 'curve';
  signatureBytes: number;
  /** DER of CKA_EC_PARAMS (hex): namedCurve (RFC 5480 §2.1.1.1) or the algorithm's OID (RFC 8410 §3). */
  ecParams: string;
  ecParamsAlias?: string;
  pointBytes: number;
  /** SubjectPublicKeyInfo up to the point (RFC 5480 §2, RFC 8410 §4), hex. */
  spkiPrefix: string;
}
export interface RsaRow extends Row {
  shape: 'pair';
  kind: 'rsa';
  signatureBytes: number;
  modulusBits: number;
}

/** Keys whose public half is a string of bytes (CKA_VALUE) and whose size is a parameter set: the post-quantum ones of FIPS 203, 204 and 205. */
export interface PqRow extends Row {
  shape: 'pair';
  kind: 'pq';
  /** CKA_PARAMETER_SET. */
  parameterSet: number;
  publicBytes: number;
  /** CKA_VALUE of the private half. */
  privateBytes: number;
  /** CKA_SEED, from which the pair is made; left out where the algorithm has none. */
  seedBytes?: number;
  /** Of a signature, or of a ciphertext that encapsulates. */
  outputBytes: number;
  /** DER of the algorithm's OID (RFC 9881, RFC 9909, RFC 9935), hex. */
  oid: string;
}

/** Bytes of RFC 5649: filled up to a multiple of 8, and 8 of integrity check. */
const kwp = (bytes: number): number => 8 * Math.ceil(bytes / 8) + 8;

const secret = (keyType: number, keyBytes: number, generate: number, operate: number, usages: readonly KeyUsage[]): SecretRow => ({
  ...{ shape: 'secret', keyType, keyBytes, generate, operate, usages },
  wrappedBytes: [kwp(keyBytes), kwp(keyBytes)],
});

/** PKCS#8 of an EC key: 25 bytes around curve OID and scalar (RFC 5915 §3), in the longest form with the curve's OID again and the public point. */
const weierstrass = (scalarBytes: number, ecParams: string, spkiPrefix: string, usages: readonly KeyUsage[]): CurveRow => {
  const least = 25 + ecParams.length / 2 + scalarBytes;
  return {
    ...{ shape: 'pair', kind: 'curve', keyType: CKK_EC, generate: mechanisms.CKM_EC_KEY_PAIR_GEN, operate: mechanisms.CKM_ECDSA, usages },
    ...{ signatureBytes: 2 * scalarBytes, ecParams, pointBytes: 1 + 2 * scalarBytes, spkiPrefix },
    wrappedBytes: [kwp(least), kwp(least + ecParams.length / 2 + 2 * scalarBytes + 14)],
  };
};

/** PKCS#8 of an RSA key holds about 4.65 times its modulus: n, d and five halves (RFC 8017 appendix A.1.2), each with or without a leading zero; more when others' primes are not of one length. */
const rsa = (modulusBits: number): RsaRow => ({
  ...{ shape: 'pair', kind: 'rsa', keyType: CKK_RSA, generate: mechanisms.CKM_RSA_PKCS_KEY_PAIR_GEN, operate: mechanisms.CKM_RSA_PKCS },
  ...{ usages: ['sign', 'encrypt'], modulusBits, signatureBytes: modulusBits / 8 },
  wrappedBytes: [(4.5 * modulusBits) / 8, (4.5 * modulusBits) / 8 + 192],
});

/** Sizes: FIPS 203 table 3, FIPS 204 table 2, FIPS 205 table 2. The private half as PKCS#8: from its seed alone to seed and expanded key. */
type PqSizes = Pick<PqRow, 'parameterSet' | 'oid' | 'publicBytes' | 'privateBytes' | 'outputBytes'>;
const pq = (keyType: number, generate: number, operate: number, usage: KeyUsage) => ({
  ...({ shape: 'pair', kind: 'pq' } as const),
  ...{ keyType, generate, operate, usages: [usage] },
});
const mlDsaKind = pq(CKK_ML_DSA, mechanisms.CKM_ML_DSA_KEY_PAIR_GEN, mechanisms.CKM_ML_DSA, 'sign');
const mlDsa = (sizes: PqSizes): PqRow => ({
  ...mlDsaKind,
  ...sizes,
  seedBytes: 32,
  wrappedBytes: [kwp(50), kwp(sizes.privateBytes + sizes.publicBytes + 128)],
});
const slhDsaKind = pq(CKK_SLH_DSA, mechanisms.CKM_SLH_DSA_KEY_PAIR_GEN, mechanisms.CKM_SLH_DSA, 'sign');
const slhDsa = (sizes: PqSizes): PqRow => ({
  ...slhDsaKind,
  ...sizes,
  wrappedBytes: [kwp(80), kwp(sizes.privateBytes + sizes.publicBytes + 96)],
});
const mlKemKind = pq(CKK_ML_KEM, mechanisms.CKM_ML_KEM_KEY_PAIR_GEN, mechanisms.CKM_ML_KEM, 'encapsulate');
const mlKem = (sizes: PqSizes): PqRow => ({
  ...mlKemKind,
  ...sizes,
  seedBytes: 64,
  wrappedBytes: [kwp(82), kwp(sizes.privateBytes + sizes.publicBytes + 192)],
});

/** The public exponent of every RSA key that is generated here, F4 = 65537 (FIPS 186-5 §5.1, big-endian). */
export const rsaPublicExponent = Buffer.from('010001', 'hex');

/** The one table of algorithms: a new one is a new row. Sizes in bytes; DER as hex. */
export const algorithms = {
  AES_128: secret(CKK_AES, 16, mechanisms.CKM_AES_KEY_GEN, mechanisms.CKM_AES_GCM, ['encrypt', 'wrap']),
  AES_256: secret(CKK_AES, 32, mechanisms.CKM_AES_KEY_GEN, mechanisms.CKM_AES_GCM, ['encrypt', 'wrap']),
  // Generic secrets of the hash's length: SoftHSM knows no CKK_SHA256_HMAC and generates none by CKM_SHA256_KEY_GEN.
  HMAC_SHA_256: secret(CKK_GENERIC_SECRET, 32, mechanisms.CKM_GENERIC_SECRET_KEY_GEN, mechanisms.CKM_SHA256_HMAC, ['mac']),
  HMAC_SHA_384: secret(CKK_GENERIC_SECRET, 48, mechanisms.CKM_GENERIC_SECRET_KEY_GEN, mechanisms.CKM_SHA384_HMAC, ['mac']),
  HMAC_SHA_512: secret(CKK_GENERIC_SECRET, 64, mechanisms.CKM_GENERIC_SECRET_KEY_GEN, mechanisms.CKM_SHA512_HMAC, ['mac']),
  RSA_2048: rsa(2048),
  RSA_3072: rsa(3072),
  RSA_4096: rsa(4096),
  EC_P256: weierstrass(32, '06082a8648ce3d030107', '3059301306072a8648ce3d020106082a8648ce3d030107034200', ['sign', 'agree']),
  EC_P384: weierstrass(48, '06052b81040022', '3076301006072a8648ce3d020106052b81040022036200', ['sign', 'agree']),
  EC_P521: weierstrass(66, '06052b81040023', '30819b301006072a8648ce3d020106052b8104002303818600', ['sign', 'agree']),
  EC_SECP256K1: weierstrass(32, '06052b8104000a', '3056301006072a8648ce3d020106052b8104000a034200', ['sign']),
  ED25519: {
    ...{
      shape: 'pair',
      kind: 'curve',
      keyType: CKK_EC_EDWARDS,
      generate: mechanisms.CKM_EC_EDWARDS_KEY_PAIR_GEN,
      operate: mechanisms.CKM_EDDSA,
      usages: ['sign'],
    },
    ...{ signatureBytes: 64, ecParams: '06032b6570', pointBytes: 32, spkiPrefix: '302a300506032b6570032100' },
    /** curveName edwards25519 (PKCS#11 v3.1 §6.3.3), which SoftHSM writes into the private half whatever was asked for. */
    ecParamsAlias: '130c656477617264733235353139',
    /** RFC 8410 §7 without attributes; RFC 5958 with the public key. */
    wrappedBytes: [kwp(48), kwp(83)],
  } as CurveRow,
  ML_DSA_44: mlDsa({ parameterSet: 1, oid: '0609608648016503040311', publicBytes: 1312, privateBytes: 2560, outputBytes: 2420 }),
  ML_DSA_65: mlDsa({ parameterSet: 2, oid: '0609608648016503040312', publicBytes: 1952, privateBytes: 4032, outputBytes: 3309 }),
  ML_DSA_87: mlDsa({ parameterSet: 3, oid: '0609608648016503040313', publicBytes: 2592, privateBytes: 4896, outputBytes: 4627 }),
  SLH_DSA_SHA2_128S: slhDsa({ parameterSet: 1, oid: '0609608648016503040314', publicBytes: 32, privateBytes: 64, outputBytes: 7856 }),
  ML_KEM_768: mlKem({ parameterSet: 2, oid: '0609608648016503040402', publicBytes: 1184, privateBytes: 2400, outputBytes: 1088 }),
  ML_KEM_1024: mlKem({ parameterSet: 3, oid: '0609608648016503040403', publicBytes: 1568, privateBytes: 3168, outputBytes: 1568 }),
} satisfies Record<string, SecretRow | CurveRow | RsaRow | PqRow>;

export type Algorithm = keyof typeof algorithms;
type WithRow<R> = { [A in Algorithm]: (typeof algorithms)[A] extends R ? A : never }[Algorithm];
export type SecretAlgorithm = WithRow<SecretRow>;
export type CurveAlgorithm = WithRow<CurveRow>;
export type RsaAlgorithm = WithRow<RsaRow>;
export type PqAlgorithm = WithRow<PqRow>;
export type PairAlgorithm = CurveAlgorithm | RsaAlgorithm | PqAlgorithm;

/** CKA_KEY_TYPE values by which an object says which further attribute names its algorithm. */
export const keyTypes = {
  ...{ RSA: CKK_RSA, AES: CKK_AES, GENERIC_SECRET: CKK_GENERIC_SECRET },
  ...{ ML_KEM: CKK_ML_KEM, ML_DSA: CKK_ML_DSA, SLH_DSA: CKK_SLH_DSA },
} as const;

export const algorithmNames = Object.keys(algorithms) as Algorithm[];
export const rowOf = (algorithm: Algorithm): SecretRow | CurveRow | RsaRow | PqRow => algorithms[algorithm];
/** What a key is for when its maker does not say. */
export const firstUsageOf = (algorithm: Algorithm): KeyUsage => rowOf(algorithm).usages[0]!;
export const usagesOf = (algorithm: Algorithm): readonly KeyUsage[] => rowOf(algorithm).usages;
export const isPair = (algorithm: Algorithm): algorithm is PairAlgorithm => rowOf(algorithm).shape === 'pair';
export const isCurve = (algorithm: Algorithm): algorithm is CurveAlgorithm => {
  const row = rowOf(algorithm);
  return row.shape === 'pair' && row.kind === 'curve';
};
export const isPq = (algorithm: Algorithm): algorithm is PqAlgorithm => {
  const row = rowOf(algorithm);
  return row.shape === 'pair' && row.kind === 'pq';
};
export const isRsa = (algorithm: Algorithm): algorithm is RsaAlgorithm => rowOf(algorithm).keyType === keyTypes.RSA;

/** The algorithm of an object that was found, by CKA_KEY_TYPE and what goes with it; undefined for one that this table does not know. */
export function algorithmOf(
  keyType: number,
  { ecParams, keyBytes, parameterSet }: { ecParams?: Buffer; keyBytes?: number; parameterSet?: number },
): Algorithm | undefined {
  return algorithmNames.find((name) => {
    const row = rowOf(name);
    if (row.keyType !== keyType) return false;
    if (row.shape === 'secret') return row.keyBytes === keyBytes;
    if (row.kind === 'rsa') return row.modulusBits / 8 === keyBytes;
    if (row.kind === 'pq') return row.parameterSet === parameterSet;
    const curve = ecParams?.toString('hex');
    return curve !== undefined && (curve === row.ecParams || curve === row.ecParamsAlias);
  });
}

/** `wrapped`: leaves the token under a key-encryption key; `token`: never leaves. */
export type Custody = 'wrapped' | 'token';
export type TokenFamily = 'softhsm' | 'kryoptic' | 'generic';
interface FamilyRow {
  wrap: number;
  /** Whether it wraps by RFC 5649 what is no multiple of 8 bytes as just that long: SoftHSM 2.6 fills it up with zeros first, which unwrap as part of it. */
  wrapsAnyLength: boolean;
  tokenCustodyOnly: readonly Algorithm[];
  /** What it has not, though it lists the mechanism: a list of mechanisms does not say which curves. */
  lacks: readonly Algorithm[];
  /** Whether RSA-OAEP takes SHA-256: SoftHSM takes SHA-1 only, which the list of mechanisms does not say either. */
  oaepSha256: boolean;
  /** The release that the tests run on, and all that it has not. */
  release?: { name: string; without: readonly Algorithm[] };
}

const postQuantum = ['ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87', 'SLH_DSA_SHA2_128S', 'ML_KEM_768', 'ML_KEM_1024'] as const;

/** What differs between tokens. Both wrap mechanisms are AES Key Wrap with Padding (RFC 5649, SP 800-38F KWP) under different numbers. */
export const families: Readonly<Record<TokenFamily, FamilyRow>> = {
  softhsm: {
    ...{ wrap: mechanisms.CKM_AES_KEY_WRAP_PAD, wrapsAnyLength: false, tokenCustodyOnly: ['ED25519', ...postQuantum], lacks: [] },
    oaepSha256: false,
    release: { name: 'SoftHSM 2.6.1', without: postQuantum },
  },
  kryoptic: {
    ...{ wrap: mechanisms.CKM_AES_KEY_WRAP_KWP, wrapsAnyLength: true, tokenCustodyOnly: postQuantum, lacks: ['EC_SECP256K1'] },
    oaepSha256: true,
    release: { name: 'kryoptic 1.5.4', without: ['EC_SECP256K1'] },
  },
  generic: { wrap: mechanisms.CKM_AES_KEY_WRAP_KWP, wrapsAnyLength: true, tokenCustodyOnly: [], lacks: [], oaepSha256: true },
};

export const custodiesOf = (algorithm: Algorithm, family: TokenFamily): readonly Custody[] =>
  families[family].tokenCustodyOnly.includes(algorithm) ? ['token'] : ['wrapped', 'token'];

/** Family by what the library (C_GetInfo) and the token (C_GetTokenInfo) say about themselves. */
export function familyOf(...descriptions: string[]): TokenFamily {
  const said = descriptions.join(' ').toLowerCase();
  return said.includes('softhsm') ? 'softhsm' : said.includes('kryoptic') ? 'kryoptic' : 'generic';
}
