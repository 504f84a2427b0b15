import { z } from 'zod';
import { Region } from './residency';

/** CK_TOKEN_INFO.label (PKCS#11 v3.1 §3.2); 32 bytes at most. */
export const TokenLabel = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/, 'must be 1 to 32 of A-Z, a-z, 0-9, . _ -');

export const furtherTokensMost = 8;

/** Labels of the tokens that a key may be in, since their validation is what its profile asks for. */
export const AssuredTokens = z.array(TokenLabel).min(1).max(64);
export type AssuredTokens = z.infer<typeof AssuredTokens>;

/** The file that FURTHER_TOKENS_FILE of the crypto-worker names, kept by `claviger bootstrap add-token`. PINs stay in files of their own. */
export const FurtherTokens = z
  .array(
    z.strictObject({
      label: TokenLabel,
      /** PKCS#11 library, a path. */
      library: z.string().min(1),
      pinFile: z.string().min(1),
      /** `far`: behind a network. */
      distance: z.enum(['near', 'far']).optional(),
      /** Where it is; where the worker is, when left out. */
      region: Region.optional(),
      /** Another token took its place: what is in it is used, and nothing new is made in it. */
      retired: z.literal(true).optional(),
    }),
  )
  .max(furtherTokensMost, `names more than ${furtherTokensMost} tokens`)
  .refine((tokens) => new Set(tokens.map(({ label }) => label)).size === tokens.length, 'names a token twice');
export type FurtherTokens = z.infer<typeof FurtherTokens>;
