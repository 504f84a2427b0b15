import { z } from 'zod';
import { Propagation } from './key-description';
import { PublicKeySpki, WrappedBytes, WrappingAlgorithm, WrappingKeySpec } from './key-transport';
import { limits } from './limits';
import { defineOperation } from './operation';
import { KeyId, KeyRef, Timestamp } from './primitives';

const reason = z.string().min(1).max(500);
const version = z.int().min(1).max(limits.versionsPerKey);
/** Says which import parameters, and that it is whoever got them. */
export const ImportToken = z
  .string()
  .regex(/^[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}$/, 'an import token is what keys.import-parameters gave');

/** Material of keys of origin `external`: it comes wrapped, and may have an end. */
export const importOperations = {
  importParameters: defineOperation({
    name: 'keys.import-parameters',
    action: 'keys:ImportParameters',
    summary:
      'A public key to wrap the material of an external key with, and the token to send it back with: for one import within 24 hours. Those that were given before are void.',
    retry: 'never',
    input: {
      keyId: KeyRef,
      wrappingAlgorithm: WrappingAlgorithm.default('RSA_AES_KEY_WRAP_SHA_256'),
      wrappingKeySpec: WrappingKeySpec.default('RSA_3072'),
    },
    result: z.strictObject({
      keyId: KeyId,
      wrappingAlgorithm: WrappingAlgorithm,
      publicKeySpki: z.string(),
      importToken: ImportToken,
      expiresAt: Timestamp,
    }),
  }),
  importMaterial: defineOperation({
    name: 'keys.import-material',
    action: 'keys:ImportMaterial',
    summary:
      'Give an external key its material: its first, the same again after that expired or was deleted, or with newVersion another, which rotates the key.',
    retry: 'never',
    input: {
      keyId: KeyRef,
      importToken: ImportToken,
      wrappedMaterial: WrappedBytes,
      /** Of an Ed25519 key, whose public half no token can tell; of other pairs it is compared with the one that belongs to the material. */
      publicKeySpki: PublicKeySpki.optional(),
      /** Which one gets the same material again; the primary one when left out. */
      version: version.optional(),
      newVersion: z.boolean().default(false),
      /** The material is destroyed then, and uses are refused until it is imported again; never when left out. */
      expiresAt: Timestamp.optional(),
      /** How often the material has encrypted by AES-GCM elsewhere: it counts towards the bound of the key. To be said of every AES key that encrypts. */
      priorEncryptions: z.int().min(0).max(limits.gcmInvocations).optional(),
      reason,
    },
    result: Propagation,
  }),
  deleteMaterial: defineOperation({
    name: 'keys.delete-material',
    action: 'keys:DeleteMaterial',
    summary: 'Destroy the imported material of a version, the primary one when left out, at once; the same can be imported again.',
    retry: 'safe',
    input: { keyId: KeyRef, version: version.optional(), reason },
    result: Propagation,
  }),
} as const;
