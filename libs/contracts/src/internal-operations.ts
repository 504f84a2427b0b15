import { z } from 'zod';
import { Algorithm, algorithms, KeyUsage } from './algorithms';
import { LastUseOfKey } from './deletion-operations';
import { ProblemSchema } from './errors';
import { AssuredTokens, TokenLabel } from './further-tokens';
import { lastActivities } from './last-activities';
import { limits } from './limits';
import { defineOperation } from './operation';
import { KekId, KeyId, RootLabel } from './primitives';
import { PersonalValue } from './records';
import { Residency } from './residency';
import { rewrapInternalOperations } from './rewrap-internal-operations';
import { KekMaterial, KeyMaterial, TokenKeyLabel } from './views';

const generated = z.strictObject({ material: KeyMaterial, publicKeySpki: z.string().optional() });

/** Between services over `claviger-internal.v1.<service>.<verb>`; no account but CORE reaches these. */
export const internalOperations = {
  ...rewrapInternalOperations,
  generateKek: defineOperation({
    name: 'hsm.generate-kek',
    action: 'internal',
    summary: 'Generate a key-encryption key in the HSM, wrapped under a root of the token.',
    retry: 'safe',
    input: { rootLabel: RootLabel.optional(), token: TokenLabel.optional() },
    result: KekMaterial,
  }),
  generateKey: defineOperation({
    name: 'hsm.generate-key',
    action: 'internal',
    summary: 'Generate a customer key in the HSM: wrapped under the given KEK, or kept in the token where it cannot be wrapped.',
    retry: 'safe',
    input: {
      ...{ algorithm: Algorithm, usage: KeyUsage, kekId: KekId, kek: KekMaterial },
      /** Only in a token that is in one of these. */
      residency: Residency.optional(),
      /** Only in one of these. */
      tokens: AssuredTokens.optional(),
      /** Refused before it is made where it would stay in a token. */
      custody: z.literal('wrapped').optional(),
      /** Its name in the token if it stays there; only a pair ever does. */
      label: TokenKeyLabel.optional(),
    },
    result: generated,
  }),
  generateKeys: defineOperation({
    name: 'hsm.generate-keys',
    action: 'internal',
    summary: 'As generate-key, for many secret keys under one KEK: each is made or has its own problem, in the order of `keys`.',
    retry: 'safe',
    input: {
      kekId: KekId,
      kek: KekMaterial,
      tokens: AssuredTokens.optional(),
      keys: z
        .array(z.strictObject({ algorithm: Algorithm, usage: KeyUsage, residency: Residency.optional() }))
        .min(1)
        .max(limits.batchItems)
        .refine((keys) => keys.every(({ algorithm }) => !algorithms[algorithm].pair), 'a pair is asked for alone: it takes long'),
    },
    result: z.strictObject({ keys: z.array(z.union([generated, z.strictObject({ problem: ProblemSchema })])) }),
  }),
  destroyKey: defineOperation({
    name: 'hsm.destroy-key',
    action: 'internal',
    summary: 'Destroy a customer key that is kept in the token; one that is gone already is no error.',
    retry: 'safe',
    /** Wherever it is among the tokens that the worker reaches, when `token` is left out. */
    input: { token: z.string().optional(), label: TokenKeyLabel },
    result: z.strictObject({ destroyed: z.boolean() }),
  }),
  leaseInvocations: defineOperation({
    name: 'keys.lease-invocations',
    action: 'internal',
    summary: 'The next block of AES-GCM encryptions under a key version; what is granted counts, used or not.',
    retry: 'never',
    input: {
      keyId: KeyId,
      version: z.int().min(1),
      count: z
        .int()
        .min(1)
        .max(2 ** 24),
    },
    result: z.strictObject({ granted: z.int().min(1) }),
  }),
  lastUses: defineOperation({
    name: 'audit.last-uses',
    action: 'internal',
    summary: 'The newest successful use of each key that the ledger has.',
    retry: 'safe',
    input: { keyIds: z.array(KeyId).min(1).max(100) },
    result: z.strictObject({ keys: z.array(LastUseOfKey) }),
  }),
  lastActivities,
  storePersonal: defineOperation({
    name: 'audit.personal',
    action: 'internal',
    summary: 'Keep a clear personal value beside its commitment, under retention.',
    retry: 'safe',
    input: { values: z.array(PersonalValue).max(100) },
    result: z.strictObject({ stored: z.int() }),
  }),
} as const;

/** A worker has applied revision `revision` of `id` and has no success on an older one left to record. */
export const Applied = z.strictObject({ worker: z.string(), id: z.string(), revision: z.int() });
export type Applied = z.infer<typeof Applied>;
