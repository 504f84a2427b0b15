import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { CeremonyTranscript } from '@claviger/contracts';
import { keyFacts, tokenFacts, tokenKeyLabels } from '@claviger/hsm';
import { type TokenPlace, withToken } from './installation-token';
import { tokenNames } from './layout';

/** What the tokens of an installation show of themselves and of their keys, and the digest of the library that showed it. */
export async function ceremonyFacts(where: TokenPlace): Promise<Pick<CeremonyTranscript, 'tokens' | 'libraryDigest'>> {
  const tokens: CeremonyTranscript['tokens'] = [];
  for (const name of tokenNames)
    tokens.push(
      await withToken(where, name, (token) => {
        const keys = Object.values(tokenKeyLabels[name]).map((label) =>
          keyFacts(token, label, name === 'customer' && label === tokenKeyLabels.customer.root ? 'secret' : 'private'),
        );
        return { ...tokenFacts(token), keys };
      }),
    );
  return { tokens, libraryDigest: createHash('sha256').update(readFileSync(where.libraryPath)).digest('base64url') };
}
