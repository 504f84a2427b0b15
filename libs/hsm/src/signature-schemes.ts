import type { Algorithm, CurveAlgorithm } from './algorithms';
import { mechanisms } from './mechanisms';

const hashes = {
  sha256: { bytes: 32, ckm: 0x250, mgf: 2, digestInfo: '3031300d060960864801650304020105000420' },
  sha384: { bytes: 48, ckm: 0x260, mgf: 3, digestInfo: '3041300d060960864801650304020205000430' },
  sha512: { bytes: 64, ckm: 0x270, mgf: 4, digestInfo: '3051300d060960864801650304020305000440' },
} as const;
export type HashName = keyof typeof hashes;

export interface SchemeRow {
  algorithms: readonly Algorithm[];
  mechanism: number;
  /** As node:crypto names it. */
  hash: HashName;
  /** Lengths of digests that it signs; verifying takes `verifies`. */
  signs: readonly number[];
  verifies: readonly number[];
  /** Leftmost bytes of the digest that count: the length of the curve's order (SEC 1 §4.1.3 step 5). */
  leftmostBytes?: number;
  /** DER of DigestInfo before the digest (RFC 8017 §9.2 note 1). */
  digestInfo?: Buffer;
  /** CK_RSA_PKCS_PSS_PARAMS with a salt as long as the hash (RFC 7518 §3.5). */
  pss?: { readonly hashAlg: number; readonly mgf: number; readonly saltLen: number };
}

/**
 * A digest may be of a longer hash than the scheme's own, of which the leftmost bits then count, but a signature is never made over a weaker one.
 * Others' signatures are verified over any SHA-2 or SHA-3 digest of 224 bits or more.
 */
const ecdsa = (algorithm: CurveAlgorithm, hash: HashName, orderBytes: number): SchemeRow => ({
  ...{ algorithms: [algorithm], mechanism: mechanisms.CKM_ECDSA, hash, leftmostBytes: orderBytes },
  signs: [32, 48, 64].filter((bytes) => bytes >= hashes[hash].bytes),
  verifies: [28, 32, 48, 64],
});
const rsaKeys = ['RSA_2048', 'RSA_3072', 'RSA_4096'] as const;
const exactly = (hash: HashName) => ({ signs: [hashes[hash].bytes], verifies: [hashes[hash].bytes] });
const pss = (hash: HashName): SchemeRow => {
  const { ckm, mgf, bytes } = hashes[hash];
  return {
    ...{ algorithms: rsaKeys, mechanism: mechanisms.CKM_RSA_PKCS_PSS, hash, ...exactly(hash) },
    pss: { hashAlg: ckm, mgf, saltLen: bytes },
  };
};
const pkcs1 = (hash: HashName): SchemeRow => ({
  ...{ algorithms: rsaKeys, mechanism: mechanisms.CKM_RSA_PKCS, hash, ...exactly(hash) },
  digestInfo: Buffer.from(hashes[hash].digestInfo, 'hex'),
});

/** Signature schemes over a digest, by JOSE name (RFC 7518 §3.1, RFC 8812 §3.2). Those over a message are below. */
export const signatureSchemes = {
  ES256: ecdsa('EC_P256', 'sha256', 32),
  ES384: ecdsa('EC_P384', 'sha384', 48),
  ES512: ecdsa('EC_P521', 'sha512', 66),
  ES256K: ecdsa('EC_SECP256K1', 'sha256', 32),
  PS256: pss('sha256'),
  PS384: pss('sha384'),
  PS512: pss('sha512'),
  RS256: pkcs1('sha256'),
  RS384: pkcs1('sha384'),
  RS512: pkcs1('sha512'),
} satisfies Record<string, SchemeRow>;

export type DigestScheme = keyof typeof signatureSchemes;

/** Schemes over the message itself, by JOSE name (RFC 8037, RFC 9964 for ML-DSA): each is of one algorithm. ML-DSA and SLH-DSA are hedged, with an empty context. */
export const messageSchemes = {
  EdDSA: 'ED25519',
  'ML-DSA-44': 'ML_DSA_44',
  'ML-DSA-65': 'ML_DSA_65',
  'ML-DSA-87': 'ML_DSA_87',
  'SLH-DSA-SHA2-128s': 'SLH_DSA_SHA2_128S',
} as const satisfies Record<string, Algorithm>;
export type MessageScheme = keyof typeof messageSchemes;
export type SignatureScheme = DigestScheme | MessageScheme;
/** RSA takes milliseconds, SLH-DSA tenths of a second. */
export const isSlow = (scheme: SignatureScheme): boolean => scheme.startsWith('PS') || scheme.startsWith('RS') || scheme.startsWith('SLH');
export const isMessageScheme = (scheme: SignatureScheme): scheme is MessageScheme => scheme in messageSchemes;

/** The schemes that a key of the algorithm can be used with; none for one that does not sign. */
export function schemesOf(algorithm: Algorithm): readonly SignatureScheme[] {
  const ofMessages = (Object.keys(messageSchemes) as MessageScheme[]).filter((name) => messageSchemes[name] === algorithm);
  if (ofMessages.length > 0) return ofMessages;
  return (Object.keys(signatureSchemes) as DigestScheme[]).filter((name) => {
    const row: SchemeRow = signatureSchemes[name];
    return row.algorithms.includes(algorithm);
  });
}
