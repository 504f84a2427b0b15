import { z } from 'zod';
import { b64u } from './primitives';

/**
 * How a key travels to whoever holds an RSA private key, by the names of AWS KMS. `RSA_AES_KEY_WRAP_…`: a fresh AES-256 key under RSA-OAEP, followed by
 * the key under that (RFC 5649; CKM_RSA_AES_KEY_WRAP of PKCS#11 v3.1 §6.1.20). `RSAES_OAEP_…`: a secret key under RSA-OAEP itself. The hash is that of
 * OAEP and of its MGF1.
 */
export const WrappingAlgorithm = z.enum(['RSA_AES_KEY_WRAP_SHA_256', 'RSA_AES_KEY_WRAP_SHA_1', 'RSAES_OAEP_SHA_256', 'RSAES_OAEP_SHA_1']);
export type WrappingAlgorithm = z.infer<typeof WrappingAlgorithm>;

/** Of the pair whose public half wraps what is imported. */
export const WrappingKeySpec = z.enum(['RSA_3072', 'RSA_4096', 'RSA_2048']);
export type WrappingKeySpec = z.infer<typeof WrappingKeySpec>;

/** A key on its way: the PKCS#8 of an RSA-4096 key has 2,400 bytes, and the carrying key at most 512. */
export const WrappedBytes = b64u(8_192);
/** DER SubjectPublicKeyInfo; of RSA-4096 it has 550 bytes. */
export const PublicKeySpki = b64u(1_024);

/** Where a key's material was made. */
export const Origin = z.enum(['generated', 'external']);
export type Origin = z.infer<typeof Origin>;

/** Why a version has no material: none was imported yet, the time of what was imported is over, or somebody had it deleted. */
export const MissingMaterial = z.enum(['awaits-import', 'expired', 'deleted']);
export type MissingMaterial = z.infer<typeof MissingMaterial>;
