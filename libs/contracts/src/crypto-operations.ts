import { z } from 'zod';
import { limits } from './limits';
import { defineOperation } from './operation';
import { b64u, EncryptionContext, isCanonicalB64u, KeyId } from './primitives';

const version = z.int().min(1);
const jwe = z
  .string()
  .max(limits.ciphertextChars)
  .regex(/^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{22}$/, 'not a JWE compact serialization with alg dir')
  .refine((text) => text.split('.').every(isCanonicalB64u), 'not canonical base64url: unused bits are set');
/** Exactly one of `message` (hashed with SHA-256 by the worker) and `digest` (a SHA-256 value) is given. */
const signed = { message: b64u(limits.plaintextBytes).optional(), digest: b64u(32, 32).optional() };
const signature = b64u(64, 64);

export const cryptoOperations = {
  encrypt: defineOperation({
    name: 'crypto.encrypt',
    action: 'crypto:Encrypt',
    summary: 'Encrypt up to 64 KiB under the newest active version (AES-256-GCM, JWE compact).',
    retry: 'safe',
    input: { keyId: KeyId, plaintext: b64u(limits.plaintextBytes), context: EncryptionContext.optional() },
    result: z.strictObject({ keyId: KeyId, version, ciphertext: z.string() }),
  }),
  decrypt: defineOperation({
    name: 'crypto.decrypt',
    action: 'crypto:Decrypt',
    summary: 'Decrypt a JWE made by encrypt or generate-data-key; key id and context must be those of the encryption.',
    retry: 'safe',
    input: { keyId: KeyId, ciphertext: jwe, context: EncryptionContext.optional() },
    result: z.strictObject({ keyId: KeyId, version, plaintext: z.string() }),
  }),
  sign: defineOperation({
    name: 'crypto.sign',
    action: 'crypto:Sign',
    summary: 'Sign a message or a SHA-256 digest with ECDSA P-256 (ES256, raw r||s).',
    retry: 'safe',
    input: { keyId: KeyId, ...signed },
    result: z.strictObject({ keyId: KeyId, version, algorithm: z.literal('ES256'), signature }),
  }),
  verify: defineOperation({
    name: 'crypto.verify',
    action: 'crypto:Verify',
    summary: 'Verify an ES256 signature; without a version every version that may process is tried.',
    retry: 'safe',
    input: { keyId: KeyId, ...signed, signature, version: version.optional() },
    result: z.strictObject({ keyId: KeyId, valid: z.boolean(), version: version.optional() }),
  }),
  generateDataKey: defineOperation({
    name: 'crypto.generate-data-key',
    action: 'crypto:GenerateDataKey',
    summary: 'Generate a 256-bit data key in the HSM, encrypted under the key; with or without its plaintext.',
    retry: 'safe',
    input: { keyId: KeyId, context: EncryptionContext.optional(), withPlaintext: z.boolean().default(true) },
    result: z.strictObject({ keyId: KeyId, version, ciphertext: z.string(), plaintext: b64u(32, 32).optional() }),
  }),
  generateRandom: defineOperation({
    name: 'crypto.generate-random',
    action: 'crypto:GenerateRandom',
    summary: 'Random bytes from the HSM.',
    retry: 'safe',
    input: { bytes: z.int().min(1).max(limits.randomBytes) },
    result: z.strictObject({ random: z.string() }),
  }),
} as const;
