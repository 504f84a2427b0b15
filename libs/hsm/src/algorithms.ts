/** PKCS#11 v3.1 numbers, so that this table needs no library. */
const CKK_EC = 0x03;
const CKK_AES = 0x1f;
const CKK_EC_EDWARDS = 0x40;
const CKM_AES_KEY_GEN = 0x1080;
const CKM_EC_KEY_PAIR_GEN = 0x1040;
const CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055;
const CKM_ECDSA = 0x1041;
const CKM_EDDSA = 0x1057;
const CKM_AES_GCM = 0x1087;
const CKM_AES_KEY_WRAP_PAD = 0x210a;
const CKM_AES_KEY_WRAP_KWP = 0x210b;

/** What a key may do, and nothing else: a KEK that could also decrypt would open what it wraps (wrap, then decrypt). */
export type KeyUsage = 'encrypt' | 'sign' | 'wrap';

/** The one table of algorithms: a new one is a new row. Sizes in bytes; DER as hex. */
export const algorithms = {
  AES_256: {
    shape: 'secret',
    keyType: CKK_AES,
    keyBytes: 32,
    /** RFC 5649 makes 40 bytes of 25 to 32, and of those only 32 is an AES key. */
    wrappedBytes: 40,
    generate: CKM_AES_KEY_GEN,
    operate: CKM_AES_GCM,
    usages: ['encrypt', 'wrap'],
  },
  EC_P256: {
    shape: 'pair',
    keyType: CKK_EC,
    generate: CKM_EC_KEY_PAIR_GEN,
    operate: CKM_ECDSA,
    usages: ['sign'],
    signatureBytes: 64,
    /** namedCurve secp256r1 (RFC 5480 §2.1.1.1). */
    ecParams: '06082a8648ce3d030107',
    pointBytes: 65,
    /** SubjectPublicKeyInfo up to the point (RFC 5480 §2). */
    spkiPrefix: '3059301306072a8648ce3d020106082a8648ce3d030107034200',
  },
  /** Token custody only: SoftHSM cannot wrap it. */
  ED25519: {
    shape: 'pair',
    keyType: CKK_EC_EDWARDS,
    generate: CKM_EC_EDWARDS_KEY_PAIR_GEN,
    operate: CKM_EDDSA,
    usages: ['sign'],
    signatureBytes: 64,
    /** id-Ed25519 (RFC 8410 §3). */
    ecParams: '06032b6570',
    /** curveName edwards25519 (PKCS#11 v3.1 §6.3.3), which SoftHSM writes into the private half whatever was asked for. */
    ecParamsAlias: '130c656477617264733235353139',
    pointBytes: 32,
    spkiPrefix: '302a300506032b6570032100',
  },
} as const satisfies Record<string, SecretRow | PairRow>;

interface SecretRow {
  shape: 'secret';
  keyType: number;
  keyBytes: number;
  wrappedBytes: number;
  generate: number;
  operate: number;
  usages: readonly KeyUsage[];
}
interface PairRow {
  shape: 'pair';
  keyType: number;
  generate: number;
  operate: number;
  usages: readonly KeyUsage[];
  signatureBytes: number;
  ecParams: string;
  ecParamsAlias?: string;
  pointBytes: number;
  spkiPrefix: string;
}

export type Algorithm = keyof typeof algorithms;
export type PairAlgorithm = { [A in Algorithm]: (typeof algorithms)[A]['shape'] extends 'pair' ? A : never }[Algorithm];
/** Algorithms whose keys can leave the token wrapped, on every family. */
export type WrappableAlgorithm = 'AES_256' | 'EC_P256';

/** The algorithm of an object that was found, by CKA_KEY_TYPE and CKA_EC_PARAMS; undefined for one that this table does not know. */
export function algorithmOf(keyType: number, ecParams: Buffer | undefined): Algorithm | undefined {
  const names = Object.keys(algorithms) as Algorithm[];
  return names.find((name) => {
    const row: SecretRow | PairRow = algorithms[name];
    if (row.keyType !== keyType || row.shape === 'secret') return row.keyType === keyType;
    const curve = ecParams?.toString('hex');
    return curve !== undefined && (curve === row.ecParams || curve === row.ecParamsAlias);
  });
}

export type TokenFamily = keyof typeof families;

/** What differs between tokens. Both wrap mechanisms are AES Key Wrap with Padding (RFC 5649, SP 800-38F KWP) under different numbers. */
export const families = {
  softhsm: { wrap: CKM_AES_KEY_WRAP_PAD },
  kryoptic: { wrap: CKM_AES_KEY_WRAP_KWP },
  generic: { wrap: CKM_AES_KEY_WRAP_KWP },
} as const;

/** Family by what the library (C_GetInfo) and the token (C_GetTokenInfo) say about themselves. */
export function familyOf(...descriptions: string[]): TokenFamily {
  const said = descriptions.join(' ').toLowerCase();
  return said.includes('softhsm') ? 'softhsm' : said.includes('kryoptic') ? 'kryoptic' : 'generic';
}
