import { z } from 'zod';
import { Algorithm, KeyWrapAlgorithm, MacAlgorithm, PairAlgorithm, SignatureEncoding, SignatureScheme } from './algorithms';
import { limits } from './limits';
import { defineBatch, defineOperation } from './operation';
import { b64u, EncryptionContext, isCanonicalB64u, KeyId, KeyRef } from './primitives';

const version = z.int().min(1);
const jwe = z
  .string()
  .max(limits.ciphertextChars)
  .regex(/^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{22}$/, 'not a JWE compact serialization with alg dir')
  .refine((text) => text.split('.').every(isCanonicalB64u), 'not canonical base64url: unused bits are set');
/** What `encrypt` gives: a JWE, or of an RSA key the bytes of RSA-OAEP-256 as they are. */
const ciphertext = z.union([jwe, b64u(limits.rsaBytes)], { error: 'neither a JWE compact serialization with alg dir nor base64url' });
const message = b64u(limits.plaintextBytes);
/** Exactly one of `message` and `digest` (of the scheme's hash) is given; EdDSA takes a message. */
const signed = {
  message: message.optional(),
  digest: b64u(64).optional(),
  /** One that the key's algorithm knows; its usual one when left out. */
  algorithm: SignatureScheme.optional(),
  /** Of ECDSA signatures; r ‖ s (`p1363`) when left out. */
  encoding: SignatureEncoding.optional(),
};
const signature = b64u(limits.signatureBytes);
const mac = b64u(64);
/** Everything is checked (session, key, policy, state, token) and recorded, and nothing is done: the answer is ERR_DRY_RUN when it would succeed. */
const dryRun = z.boolean().optional();
const context = EncryptionContext.optional();
const onKey = { keyId: KeyRef, dryRun };
/** SubjectPublicKeyInfo (RFC 5280 §4.1), DER in base64url. */
const publicKeySpki = z.string();

const single = {
  encrypt: defineOperation({
    name: 'crypto.encrypt',
    action: 'crypto:Encrypt',
    summary:
      'Encrypt up to 64 KiB under the newest active version (AES-GCM, JWE compact). Of an RSA key: RSA-OAEP-256 of what fits in it, without a context.',
    retry: 'safe',
    input: { ...onKey, plaintext: message, context },
    result: z.strictObject({ keyId: KeyId, version, ciphertext: z.string() }),
  }),
  decrypt: defineOperation({
    name: 'crypto.decrypt',
    action: 'crypto:Decrypt',
    summary:
      'Decrypt what encrypt or generate-data-key made, or of an RSA key what anybody encrypted to its public half; key id and context must be those of the encryption.',
    retry: 'safe',
    input: { ...onKey, ciphertext, context },
    result: z.strictObject({ keyId: KeyId, version, plaintext: z.string() }),
  }),
  reEncrypt: defineOperation({
    name: 'crypto.re-encrypt',
    action: 'crypto:ReEncryptFrom',
    summary:
      'Decrypt and encrypt anew in the worker: under the newest version of the key, or under another key (AES or RSA) or context. Policy is asked for both keys; the plaintext goes to nobody.',
    retry: 'safe',
    input: { ...onKey, ciphertext, context, toKeyId: KeyRef.optional(), toContext: context },
    result: z.strictObject({ keyId: KeyId, version, fromKeyId: KeyId, fromVersion: version, ciphertext: z.string() }),
  }),
  sign: defineOperation({
    name: 'crypto.sign',
    action: 'crypto:Sign',
    summary:
      'Sign a message, or the digest of one, under the newest active version. ECDSA gives r ‖ s (RFC 7518 §3.4), or DER when asked for.',
    retry: 'safe',
    input: { ...onKey, ...signed },
    result: z.strictObject({ keyId: KeyId, version, algorithm: SignatureScheme, signature }),
  }),
  verify: defineOperation({
    name: 'crypto.verify',
    action: 'crypto:Verify',
    summary: 'Verify a signature; without a version every version that may process is tried.',
    retry: 'safe',
    input: { ...onKey, ...signed, signature, version: version.optional() },
    result: z.strictObject({ keyId: KeyId, valid: z.boolean(), version: version.optional() }),
  }),
  generateMac: defineOperation({
    name: 'crypto.generate-mac',
    action: 'crypto:GenerateMac',
    summary: 'HMAC of a message under the newest active version, in full length (FIPS 198-1).',
    retry: 'safe',
    input: { ...onKey, message },
    result: z.strictObject({ keyId: KeyId, version, algorithm: MacAlgorithm, mac }),
  }),
  verifyMac: defineOperation({
    name: 'crypto.verify-mac',
    action: 'crypto:VerifyMac',
    summary: 'Verify an HMAC in full length, in constant time; without a version every version that may process is tried.',
    retry: 'safe',
    input: { ...onKey, message, mac, version: version.optional() },
    result: z.strictObject({ keyId: KeyId, valid: z.boolean(), version: version.optional() }),
  }),
  wrapKey: defineOperation({
    name: 'crypto.wrap-key',
    action: 'crypto:WrapKey',
    summary: 'Wrap a key that the caller holds under the newest active version (AES Key Wrap, RFC 5649; or RFC 3394 by name).',
    retry: 'safe',
    input: { ...onKey, plaintextKey: b64u(limits.wrappableKeyBytes).min(2), algorithm: KeyWrapAlgorithm.optional() },
    result: z.strictObject({ keyId: KeyId, version, algorithm: KeyWrapAlgorithm, wrappedKey: z.string() }),
  }),
  unwrapKey: defineOperation({
    name: 'crypto.unwrap-key',
    action: 'crypto:UnwrapKey',
    summary:
      'The key inside what wrap-key, or anybody else by the same RFC, made; without a version every version that may process is tried.',
    retry: 'safe',
    input: {
      ...onKey,
      wrappedKey: b64u(limits.wrappableKeyBytes + 16),
      algorithm: KeyWrapAlgorithm.optional(),
      version: version.optional(),
    },
    result: z.strictObject({ keyId: KeyId, version, algorithm: KeyWrapAlgorithm, plaintextKey: z.string() }),
  }),
  deriveSharedSecret: defineOperation({
    name: 'crypto.derive-shared-secret',
    action: 'crypto:DeriveSharedSecret',
    summary:
      "ECDH of the key and another's public key of the same curve: the raw shared secret (SP 800-56A rev. 3 §5.7.1.2), to be put through a KDF.",
    retry: 'safe',
    input: { ...onKey, publicKeySpki: b64u(limits.publicKeyBytes), version: version.optional() },
    result: z.strictObject({ keyId: KeyId, version, sharedSecret: z.string() }),
  }),
  encapsulate: defineOperation({
    name: 'crypto.encapsulate',
    action: 'crypto:Encapsulate',
    summary: 'A fresh shared secret, and the ciphertext that gives it to whoever may decapsulate under this key (ML-KEM, FIPS 203).',
    retry: 'safe',
    input: onKey,
    result: z.strictObject({ keyId: KeyId, version, kemCiphertext: z.string(), sharedSecret: z.string() }),
  }),
  decapsulate: defineOperation({
    name: 'crypto.decapsulate',
    action: 'crypto:Decapsulate',
    summary:
      'The shared secret in a ciphertext of encapsulate, of the version that it was made under. Another ciphertext gives another secret, and no error (FIPS 203 §7.3).',
    retry: 'safe',
    input: { ...onKey, kemCiphertext: b64u(limits.kemCiphertextBytes), version },
    result: z.strictObject({ keyId: KeyId, version, sharedSecret: z.string() }),
  }),
  getPublicKey: defineOperation({
    name: 'crypto.get-public-key',
    action: 'crypto:GetPublicKey',
    summary: 'Public half of a key pair, of the newest or the named version: DER, PEM and JWK (RFC 7517).',
    retry: 'safe',
    input: { ...onKey, version: version.optional() },
    result: z.strictObject({
      keyId: KeyId,
      version,
      algorithm: Algorithm,
      signatureAlgorithms: z.array(SignatureScheme),
      publicKeySpki,
      pem: z.string(),
      jwk: z.record(z.string(), z.string()),
    }),
  }),
  generateDataKey: defineOperation({
    name: 'crypto.generate-data-key',
    action: 'crypto:GenerateDataKey',
    summary: 'Random data key of the HSM, encrypted under the key; with or without its plaintext.',
    retry: 'safe',
    input: {
      ...onKey,
      context,
      withPlaintext: z.boolean().default(true),
      bytes: z.int().min(limits.dataKeyBytesMin).max(limits.dataKeyBytesMax).default(32),
    },
    result: z.strictObject({ keyId: KeyId, version, ciphertext: z.string(), plaintext: b64u(limits.dataKeyBytesMax).optional() }),
  }),
  generateDataKeyPair: defineOperation({
    name: 'crypto.generate-data-key-pair',
    action: 'crypto:GenerateDataKeyPair',
    summary:
      'Key pair made in the HSM for use outside of it: public half, and private half (PKCS#8) encrypted under the key; with or without its plaintext.',
    retry: 'safe',
    input: { ...onKey, context, algorithm: PairAlgorithm, withPlaintext: z.boolean().default(false) },
    result: z.strictObject({ keyId: KeyId, version, publicKeySpki, ciphertext: z.string(), plaintext: z.string().optional() }),
  }),
  generateRandom: defineOperation({
    name: 'crypto.generate-random',
    action: 'crypto:GenerateRandom',
    summary: 'Random bytes from the HSM.',
    retry: 'safe',
    input: { bytes: z.int().min(1).max(limits.randomBytes), dryRun },
    result: z.strictObject({ random: z.string() }),
  }),
} as const;

/** Each operation for one item, and for many at once. */
export const cryptoOperations = {
  ...single,
  encryptBatch: defineBatch(single.encrypt),
  decryptBatch: defineBatch(single.decrypt),
  reEncryptBatch: defineBatch(single.reEncrypt),
  signBatch: defineBatch(single.sign),
  verifyBatch: defineBatch(single.verify),
  generateMacBatch: defineBatch(single.generateMac),
  verifyMacBatch: defineBatch(single.verifyMac),
  wrapKeyBatch: defineBatch(single.wrapKey),
  unwrapKeyBatch: defineBatch(single.unwrapKey),
  deriveSharedSecretBatch: defineBatch(single.deriveSharedSecret),
  encapsulateBatch: defineBatch(single.encapsulate),
  decapsulateBatch: defineBatch(single.decapsulate),
  getPublicKeyBatch: defineBatch(single.getPublicKey),
  generateDataKeyBatch: defineBatch(single.generateDataKey),
  generateDataKeyPairBatch: defineBatch(single.generateDataKeyPair),
  generateRandomBatch: defineBatch(single.generateRandom),
} as const;
