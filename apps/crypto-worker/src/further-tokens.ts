import { FurtherTokens } from '@claviger/contracts';
import { canaryLabel, type Token } from '@claviger/hsm';
import { readJsonFile } from '@claviger/operability';
import { openToken } from '@claviger/service';
import { type FarReach, reachOf } from './token-reach';

/** Tokens beside the first; none when no file is named. @throws ConfigurationError naming the variable */
export const readFurtherTokens = (file: string | undefined): FurtherTokens =>
  file === undefined ? [] : readJsonFile('FURTHER_TOKENS_FILE', file, FurtherTokens);

/** @throws ConfigurationError naming the variable */
export async function openFurtherTokens(listed: FurtherTokens, far: FarReach): Promise<Token[]> {
  const opened: Token[] = [];
  for (const { label, library, pinFile, distance = 'near' } of listed) {
    const where = { PKCS11_LIBRARY: library, HSM_TOKEN_LABEL: label, HSM_PIN_FILE: pinFile };
    opened.push(await openToken(where, canaryLabel, reachOf(distance, far)));
  }
  return opened;
}
