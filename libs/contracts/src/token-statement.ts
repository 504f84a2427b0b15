import { z } from 'zod';
import { TokenIdentity, TokenObjectName } from './migration-internal-operations';
import { PrincipalId, RootLabel, Timestamp } from './primitives';

export const tokenStatementType = 'claviger-token-statement+jws';

/**
 * That a token holds nothing of Claviger any more (SP 800-57 Part 1 rev. 5 §8.3.4, SP 800-88 rev. 1 §2.6): payload of a compact JWS (RFC 7515, ES256) by the
 * control token. It is also a record of the ledger. What the token's own erasure leaves behind is for its vendor to say.
 */
export const TokenStatement = z.strictObject({
  format: z.literal('claviger.token-statement/1'),
  /** Name of the ledger of the site. */
  site: z.string(),
  token: TokenIdentity,
  at: Timestamp,
  by: PrincipalId,
  reason: z.string(),
  /** Objects of Claviger that are there. */
  objects: z.literal(0),
  /** Roots that were in it, and when each was destroyed. */
  roots: z.array(z.strictObject({ label: RootLabel, destroyedAt: Timestamp })),
  /** What was destroyed last of all: what certified its workers, and what it was known by. */
  destroyed: z.array(TokenObjectName),
  /** What others have in it. */
  remaining: z.array(TokenObjectName),
});
export type TokenStatement = z.infer<typeof TokenStatement>;
