import { z } from 'zod';
import { Algorithm } from './algorithms';
import { AssuredTokens } from './further-tokens';
import { PublicKeySpki, WrappedBytes, WrappingAlgorithm, WrappingKeySpec } from './key-transport';
import { defineOperation } from './operation';
import { b64u, KekId, KeyId } from './primitives';
import { Residency } from './residency';
import { KekMaterial, WrappedKey } from './views';

/** A KEK, and that it is that one. */
const Kek = z.strictObject({ kekId: KekId, material: KekMaterial });
/** A version of a key that is kept wrapped, with what it is wrapped under. The worker compares it with the signed record that it reads itself. */
const Kept = z.strictObject({ keyId: KeyId, version: z.int().min(1), algorithm: Algorithm, material: WrappedKey, kek: Kek });

/** What import and export need of the token, of crypto-workers over `claviger-internal.v1.hsm.<verb>`. */
export const transportHsmOperations = {
  receiveKey: defineOperation({
    name: 'hsm.receive-key',
    action: 'internal',
    summary: 'Take in a key that was wrapped for the receiver, and wrap it under the given KEK.',
    retry: 'safe',
    input: {
      algorithm: Algorithm,
      kek: Kek,
      /** Only in a token that is in one of these. */
      residency: Residency.optional(),
      /** Only in one of these. */
      tokens: AssuredTokens.optional(),
      wrappingAlgorithm: WrappingAlgorithm,
      receiver: z.strictObject({ spec: WrappingKeySpec, material: WrappedKey, kek: Kek }),
      wrappedMaterial: WrappedBytes,
      publicKeySpki: PublicKeySpki.optional(),
    },
    result: z.strictObject({ material: WrappedKey, publicKeySpki: z.string().optional(), checkValue: b64u(64) }),
  }),
  sendKey: defineOperation({
    name: 'hsm.send-key',
    action: 'internal',
    summary: 'Wrap a key for a recipient: to its RSA public key, or under a key that is kept here.',
    retry: 'safe',
    input: {
      key: Kept,
      recipient: z.union([
        z.strictObject({ publicKeySpki: PublicKeySpki, wrappingAlgorithm: WrappingAlgorithm }),
        z.strictObject({ key: Kept }),
      ]),
    },
    result: z.strictObject({ wrappedMaterial: WrappedBytes }),
  }),
} as const;
