import { probe, type Token } from '@claviger/hsm';
import { type Check, readJsonFile } from '@claviger/operability';
import { openToken } from '@claviger/service';
import { z } from 'zod';

/** What FURTHER_TOKENS_FILE holds. PINs stay in files of their own. */
const FurtherTokens = z
  .array(z.strictObject({ label: z.string().min(1).max(32), library: z.string().min(1), pinFile: z.string().min(1) }))
  .max(8)
  .refine((tokens) => new Set(tokens.map(({ label }) => label)).size === tokens.length, 'names a token twice');

/** Tokens beside the first, each with the canary that `claviger bootstrap add-token` made. @throws ConfigurationError naming the variable */
export function openFurtherTokens(file: string | undefined): Token[] {
  if (file === undefined) return [];
  return readJsonFile('FURTHER_TOKENS_FILE', file, FurtherTokens).map(({ label, library, pinFile }) =>
    openToken({ PKCS11_LIBRARY: library, HSM_TOKEN_LABEL: label, HSM_PIN_FILE: pinFile }, 'claviger-canary'),
  );
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
