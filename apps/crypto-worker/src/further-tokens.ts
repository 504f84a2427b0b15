import { FurtherTokens } from '@claviger/contracts';
import { canaryLabel, probe, type Token } from '@claviger/hsm';
import { type Check, readJsonFile } from '@claviger/operability';
import { openToken } from '@claviger/service';
import { type FarReach, reachOf } from './token-reach';

/** Tokens beside the first. @throws ConfigurationError naming the variable */
export async function openFurtherTokens(file: string | undefined, far: FarReach): Promise<Token[]> {
  if (file === undefined) return [];
  const opened: Token[] = [];
  for (const { label, library, pinFile, distance = 'near' } of readJsonFile('FURTHER_TOKENS_FILE', file, FurtherTokens)) {
    const where = { PKCS11_LIBRARY: library, HSM_TOKEN_LABEL: label, HSM_PIN_FILE: pinFile };
    opened.push(await openToken(where, canaryLabel, reachOf(distance, far)));
  }
  return opened;
}

/** Red while keys in it cannot be used; requests for all others go on. */
export const furtherTokenCheck = (token: Token): Check => ({
  name: `token ${token.label}`,
  kind: 'ready',
  check: () => {
    probe(token);
    return { ok: true, detail: `token ${token.label} (${token.family}) is well` };
  },
});
