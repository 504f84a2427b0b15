import { z } from 'zod';
import { Algorithm } from './algorithms';
import { PublicKeySpki, WrappingAlgorithm } from './key-transport';
import { limits } from './limits';
import { defineOperation } from './operation';
import { KeyId, KeyRef } from './primitives';

/** Who a key is wrapped for: whoever holds the private half of an RSA key of 2048 bits or more, or may unwrap with another key here. */
export const ExportRecipient = z.union([
  z.strictObject({ publicKeySpki: PublicKeySpki, wrappingAlgorithm: WrappingAlgorithm.default('RSA_AES_KEY_WRAP_SHA_256') }),
  z.strictObject({ keyId: KeyRef }),
]);
export type ExportRecipient = z.infer<typeof ExportRecipient>;

export const exportOperations = {
  export: defineOperation({
    name: 'keys.export',
    action: 'keys:Export',
    summary: 'The material of a key that was made to be exported, wrapped for a recipient; of the primary version when none is named.',
    retry: 'never',
    input: {
      keyId: KeyRef,
      version: z.int().min(1).max(limits.versionsPerKey).optional(),
      recipient: ExportRecipient,
      reason: z.string().min(1).max(500),
    },
    result: z.strictObject({
      keyId: KeyId,
      version: z.int().min(1),
      algorithm: Algorithm,
      /** AES_KEY_WRAP_PAD: by RFC 5649 under the recipient's key here. A private half is PKCS#8. */
      wrappingAlgorithm: z.enum([...WrappingAlgorithm.options, 'AES_KEY_WRAP_PAD']),
      wrappedMaterial: z.string(),
      /** As the ledger names the recipient: base64url of the SHA-256 of its public key, or the id and version of its key here. */
      recipient: z.string(),
    }),
  }),
} as const;
