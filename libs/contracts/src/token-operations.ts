import { z } from 'zod';
import { furtherTokensMost } from './further-tokens';
import { KnownToken, ValidationState } from './known-tokens';
import { defineOperation } from './operation';
import { Timestamp } from './primitives';
import { Region } from './residency';

/** What a token says of itself (CK_TOKEN_INFO; PKCS#11 v3.1 §3.2). */
const ReportedToken = z.strictObject({
  manufacturer: z.string(),
  model: z.string(),
  /** `major.minor`: all that PKCS#11 lets it say. */
  firmware: z.string(),
  serialNumber: z.string(),
  family: z.string(),
});
export type ReportedToken = z.infer<typeof ReportedToken>;

/** A token as one worker sees it. */
export const SeenToken = z.strictObject({
  label: z.string(),
  /** It has the roots: all wrapped keys are used in it. */
  root: z.boolean(),
  region: Region.optional(),
  /** The worker uses it just now. */
  reached: z.boolean(),
  /** Absent where the worker has not reached it. */
  reported: ReportedToken.optional(),
});
export type SeenToken = z.infer<typeof SeenToken>;

/** In what a token is another than its record says. */
export const TokenMismatch = z.strictObject({
  what: z.enum(['model', 'firmware', 'serialNumber']),
  recorded: z.string(),
  reported: z.string(),
});
export type TokenMismatch = z.infer<typeof TokenMismatch>;

export const TokenDescription = z.strictObject({
  label: z.string(),
  /** Absent: nothing is known of it but that workers have it. */
  record: KnownToken.optional(),
  /** Whether its module counts as validated, and why. `level` and `daysLeft` while it is active. */
  validation: z.strictObject({
    state: ValidationState,
    why: z.string(),
    level: z.int().optional(),
    daysLeft: z.int().optional(),
  }),
  root: z.boolean(),
  /** As the workers that answered lately are told; empty where nobody said. */
  regions: z.array(Region),
  reported: ReportedToken.optional(),
  mismatches: z.array(TokenMismatch),
  /** Workers that see it … */
  workers: z.array(z.string()),
  /** … and those among them that do not reach it. */
  away: z.array(z.string()),
  /** Keys with material in it, or under its roots; one that is under several key-encryption keys counts for each. Only when asked for. */
  keys: z.int().optional(),
});
export type TokenDescription = z.infer<typeof TokenDescription>;

export const tokenOperations = {
  listTokens: defineOperation({
    name: 'keys.list-tokens',
    action: 'keys:ListTokens',
    summary: 'The tokens that keys are in: what is on record of each, whether its validation counts, and what it says of itself.',
    retry: 'safe',
    /** `count`: the keys in each; by the index, which takes a moment where there are many. */
    input: { count: z.boolean().default(false) },
    result: z.strictObject({
      tokens: z.array(TokenDescription),
      /** When a worker answered last; absent where none did, so that only what is on record is shown. */
      seenAt: Timestamp.optional(),
    }),
  }),
} as const;

/** Of crypto-workers, over `claviger-internal.v1.hsm.<verb>`. */
export const tokenHsmOperations = {
  describeTokens: defineOperation({
    name: 'hsm.describe-tokens',
    action: 'internal',
    summary: 'The tokens of the worker that answers, as they say themselves.',
    retry: 'safe',
    input: {},
    result: z.strictObject({ worker: z.string(), tokens: z.array(SeenToken).max(furtherTokensMost + 1) }),
  }),
} as const;
