import { z } from 'zod';
import { Algorithm } from './algorithms';
import { ErrorCodeSchema } from './errors';
import { AssuredTokens, TokenLabel } from './further-tokens';
import { limits } from './limits';
import { defineOperation } from './operation';
import { KekId, RootLabel, Timestamp } from './primitives';
import { Residency } from './residency';
import { KekMaterial, WrappedKey } from './views';

/** The worker's first one when left out. */
const token = TokenLabel.optional();
const NamedKek = z.strictObject({ kekId: KekId, material: KekMaterial });

/** From key-lifecycle to any crypto-worker: what goes from one wrapping key to another does so inside the token. */
export const rewrapInternalOperations = {
  rewrapKeys: defineOperation({
    name: 'hsm.rewrap-keys',
    action: 'internal',
    summary: 'Wrap keys under another KEK inside the HSM; each is rewrapped or has its own problem, in the order of `keys`.',
    retry: 'safe',
    input: {
      /** Under which they are. */
      from: z.array(NamedKek).min(1).max(16),
      to: NamedKek,
      /** Only in one of these. */
      tokens: AssuredTokens.optional(),
      keys: z
        .array(
          z.strictObject({ algorithm: Algorithm, kekId: KekId, mechanism: z.int(), wrapped: z.string(), residency: Residency.optional() }),
        )
        .min(1)
        .max(limits.batchItems)
        .refine((keys) => keys.reduce((sum, { wrapped }) => sum + wrapped.length, 0) <= limits.rewrapChars, 'more than fits a message'),
    },
    result: z.strictObject({
      keys: z.array(z.union([WrappedKey, z.strictObject({ code: ErrorCodeSchema, detail: z.string() })])),
    }),
  }),
  rewrapKek: defineOperation({
    name: 'hsm.rewrap-kek',
    action: 'internal',
    summary: 'Wrap a KEK under another root inside the HSM, or inside the two that hold the roots.',
    retry: 'safe',
    input: { material: KekMaterial, rootLabel: RootLabel, token, tokens: AssuredTokens.optional() },
    result: KekMaterial,
  }),
  createRoot: defineOperation({
    name: 'hsm.create-root',
    action: 'internal',
    summary:
      'Make a root in the token; one that is there is left as it is. Refused after `until`, so that who heard no answer knows from when it can ask again.',
    retry: 'safe',
    /** `rehearse`: a KEK that is made under this root, and then let go, must come under the new one; else it fails, and the new one stays empty. */
    input: { label: RootLabel, token, until: Timestamp, rehearse: z.strictObject({ rootLabel: RootLabel, token }).optional() },
    result: z.strictObject({ created: z.boolean() }),
  }),
  destroyRoot: defineOperation({
    name: 'hsm.destroy-root',
    action: 'internal',
    summary: 'Destroy a root in the token; one that is gone already is no error.',
    retry: 'safe',
    /** `serialNumber`: of the device that is meant; another one is left as it is. */
    input: { label: RootLabel, token, serialNumber: z.string() },
    result: z.strictObject({ destroyed: z.boolean() }),
  }),
} as const;
