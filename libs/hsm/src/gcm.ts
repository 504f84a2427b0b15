import pkcs11, { type Mechanism } from 'pkcs11js';

/** Length of the nonce, of SP 800-38D's recommended form, and of the full tag that is appended to the ciphertext. */
export const gcmIvBytes = 12;
export const gcmTagBytes = 16;

/** CKM_AES_GCM with the parameters of PKCS#11 v2.40 errata and later (ulIvBits present). */
export const gcmMechanism = (iv: Buffer, aad: Buffer): Mechanism => ({
  mechanism: pkcs11.CKM_AES_GCM,
  parameter: { type: pkcs11.CK_PARAMS_AES_GCM_v240, iv, aad, ivBits: 96, tagBits: 128 } as Mechanism['parameter'],
});
