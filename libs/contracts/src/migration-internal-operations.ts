import { z } from 'zod';
import { Algorithm, KeyUsage } from './algorithms';
import { TokenLabel } from './further-tokens';
import { defineOperation } from './operation';
import { b64u } from './primitives';
import { Region } from './residency';

export const KeyKind = z.strictObject({ algorithm: Algorithm, usage: KeyUsage });
export type KeyKind = z.infer<typeof KeyKind>;

/** What one worker knows of a token. */
export const TokenSighting = z.strictObject({
  /** As it announces itself to the owner of its bucket. */
  worker: z.string(),
  /** Label of its first token. */
  first: z.string(),
  /** Of the token that was asked for. `away`: it is listed, and fails or could not be opened. `unknown`: this worker has no such token. */
  token: z.enum(['first', 'further', 'away', 'unknown']),
  /** Of the device itself (CK_TOKEN_INFO.serialNumber); absent where it did not say. Labels are given, and several devices may have the same. */
  serialNumber: z.string().optional(),
  /** Where it is, as this worker is told. */
  region: Region.optional(),
  /** Of the kinds that were asked for, those that it cannot make or use. */
  lacks: z.array(KeyKind),
});
export type TokenSighting = z.infer<typeof TokenSighting>;

/** A token object, by what every token says of it (PKCS#11 v3.1 §4). */
export const TokenObjectName = z.strictObject({ class: z.string(), label: z.string().max(4_096), id: z.string().max(4_096) });
export type TokenObjectName = z.infer<typeof TokenObjectName>;

/** CK_TOKEN_INFO (PKCS#11 v3.1 §3.2). */
export const TokenIdentity = z.strictObject({
  label: z.string(),
  serialNumber: z.string(),
  manufacturer: z.string(),
  model: z.string(),
  firmware: z.string(),
});
export type TokenIdentity = z.infer<typeof TokenIdentity>;

/** So many are told by name. */
export const tokenObjectsMost = 1_000;
const objects = z.array(TokenObjectName).max(tokenObjectsMost);

/** What a token is to workers, and what is in it; of crypto-workers over `claviger-internal.v1.hsm.<verb>`. */
export const migrationHsmOperations = {
  /** Each worker answers, and one of them twice: whoever asks knows them by their names. */
  surveyToken: defineOperation({
    name: 'hsm.survey-token',
    action: 'internal',
    summary: 'What this worker knows of a token; asked of every worker at once.',
    retry: 'safe',
    /** `token`: the worker's first when left out. */
    input: { token: TokenLabel.optional(), kinds: z.array(KeyKind).max(200).default([]) },
    result: TokenSighting,
  }),
  tokenHoldings: defineOperation({
    name: 'hsm.token-holdings',
    action: 'internal',
    summary: 'Every object of a token beside the first.',
    retry: 'safe',
    input: { token: TokenLabel },
    /** `certifier`: the public half of a pair of this name, which certified a worker while the token was its first. */
    result: z.strictObject({ identity: TokenIdentity, objects, certifier: b64u(1_024).optional() }),
  }),
  emptyToken: defineOperation({
    name: 'hsm.empty-token',
    action: 'internal',
    summary:
      'Destroy the certifier and the canary of a token beside the first that holds nothing else but what others put there, and say what is left.',
    retry: 'safe',
    /** What was seen of it: another device, another certifier or other objects are left as they are. `certifier`: its public half; left out, it stays. */
    input: { token: TokenLabel, serialNumber: z.string(), certifier: b64u(1_024).optional(), foreign: objects },
    result: z.strictObject({ identity: TokenIdentity, objects }),
  }),
} as const;
