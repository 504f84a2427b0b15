/** PKCS#11 v3.2 mechanisms that are in use here, by their names in the standard; numbers, so that the tables need no library. */
export const mechanisms = {
  CKM_RSA_PKCS_KEY_PAIR_GEN: 0x00,
  CKM_RSA_PKCS: 0x01,
  CKM_RSA_X_509: 0x03,
  CKM_RSA_PKCS_OAEP: 0x09,
  CKM_RSA_PKCS_PSS: 0x0d,
  CKM_ML_KEM_KEY_PAIR_GEN: 0x0f,
  CKM_ML_KEM: 0x17,
  CKM_ML_DSA_KEY_PAIR_GEN: 0x1c,
  CKM_ML_DSA: 0x1d,
  CKM_SLH_DSA_KEY_PAIR_GEN: 0x2d,
  CKM_SLH_DSA: 0x2e,
  CKM_SHA256_HMAC: 0x251,
  CKM_SHA384_HMAC: 0x261,
  CKM_SHA512_HMAC: 0x271,
  CKM_GENERIC_SECRET_KEY_GEN: 0x350,
  CKM_EC_KEY_PAIR_GEN: 0x1040,
  CKM_ECDSA: 0x1041,
  CKM_ECDH1_DERIVE: 0x1050,
  CKM_EC_EDWARDS_KEY_PAIR_GEN: 0x1055,
  CKM_EDDSA: 0x1057,
  CKM_AES_KEY_GEN: 0x1080,
  CKM_AES_GCM: 0x1087,
  CKM_AES_CMAC: 0x108a,
  CKM_AES_KEY_WRAP: 0x2109,
  CKM_AES_KEY_WRAP_PAD: 0x210a,
  CKM_AES_KEY_WRAP_KWP: 0x210b,
} as const;
export type MechanismName = keyof typeof mechanisms;

const names = new Map<number, MechanismName>(Object.entries(mechanisms).map(([name, number]) => [number, name as MechanismName]));

/** As the standard calls it. */
export const mechanismNameOf = (mechanism: number): MechanismName | undefined => names.get(mechanism);
