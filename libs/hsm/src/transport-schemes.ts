import pkcs11, { type Mechanism } from 'pkcs11js';
import { families, type TokenFamily } from './algorithms';
import { mechanisms } from './mechanisms';

/**
 * How a key travels to whoever holds an RSA private key, by the names of AWS KMS.
 * `RSA_AES_KEY_WRAP_…`: a fresh AES-256 key under RSA-OAEP ‖ the key under that by AES Key Wrap with Padding (PKCS#11 v3.1 §6.1.20, RFC 5649).
 * `RSAES_OAEP_…`: the key itself under RSA-OAEP (RFC 8017 §7.1), where it fits, which a private half does not.
 * The hash is that of OAEP and of its MGF1; the label is empty.
 */
export const transportSchemes = {
  RSA_AES_KEY_WRAP_SHA_256: { hash: 'sha256', hashBytes: 32, carried: true },
  RSA_AES_KEY_WRAP_SHA_1: { hash: 'sha1', hashBytes: 20, carried: true },
  RSAES_OAEP_SHA_256: { hash: 'sha256', hashBytes: 32, carried: false },
  RSAES_OAEP_SHA_1: { hash: 'sha1', hashBytes: 20, carried: false },
} as const satisfies Record<string, { hash: OaepHash; hashBytes: number; carried: boolean }>;
export type TransportScheme = keyof typeof transportSchemes;
export type OaepHash = 'sha1' | 'sha256';

const CKZ_DATA_SPECIFIED = 1;
export const oaepMechanism = (hash: OaepHash): Mechanism => ({
  mechanism: mechanisms.CKM_RSA_PKCS_OAEP,
  parameter: {
    type: pkcs11.CK_PARAMS_RSA_OAEP,
    hashAlg: hash === 'sha1' ? pkcs11.CKM_SHA_1 : pkcs11.CKM_SHA256,
    mgf: hash === 'sha1' ? pkcs11.CKG_MGF1_SHA1 : pkcs11.CKG_MGF1_SHA256,
    source: CKZ_DATA_SPECIFIED,
  } as Mechanism['parameter'],
});

/** Whether the token itself does OAEP with that hash; where not, only the key that carries another one is taken in and out of it by software. */
export const tokenDoesOaep = (family: TokenFamily, scheme: TransportScheme): boolean =>
  transportSchemes[scheme].hash === 'sha1' || families[family].oaepSha256;
