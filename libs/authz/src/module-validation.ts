import type { KnownToken, TokenMismatch, ValidationState } from '@claviger/contracts';
import type { Floor, Shortfall } from './floor';

const dayMs = 86_400_000;

/** What the validation of a token comes to at a time. `level` and `daysLeft`, whole days with the one that has begun, while it is active. */
export interface Standing {
  readonly state: ValidationState;
  /** Ends a sentence that begins with the token. */
  readonly why: string;
  readonly level?: number;
  readonly daysLeft?: number;
}

/** Of a token of which nothing is on record, undefined. What was taken back counts for less than what ended by itself. */
export function standingOf(token: KnownToken | undefined, nowMs: number): Standing {
  if (!token) return { state: 'unknown', why: 'has no record in the policies in force' };
  const { validation, firmware } = token;
  if (validation.standard === 'none') return { state: 'none', why: 'is validated by nobody' };
  const { standard, certificate, level, status, validUntil } = validation;
  const named = `${standard} certificate ${certificate}`;
  if (status === 'revoked') return { state: 'revoked', why: `lost its validation: ${named} was revoked` };
  if (status === 'historical') return { state: 'historical', why: `has a validation that is historical: ${named}` };
  const endMs = Date.parse(`${validUntil}T00:00:00.000Z`) + dayMs;
  if (nowMs >= endMs) return { state: 'expired', why: `had a validation until ${validUntil}: ${named}` };
  if (!validation.firmware.includes(firmware))
    return { state: 'not-covered', why: `runs firmware ${firmware}, and ${named} covers ${validation.firmware.join(', ')}` };
  const daysLeft = Math.ceil((endMs - nowMs) / dayMs);
  return { state: 'active', why: `is validated at level ${level} until ${validUntil}: ${named}`, level, daysLeft };
}

/** Labels of the tokens that a key with this floor may be in; undefined where it may be in any. */
export function assuredTokens(tokens: readonly KnownToken[], { moduleLevel }: Pick<Floor, 'moduleLevel'>, nowMs: number) {
  if (!moduleLevel) return undefined;
  const isEnough = (token: KnownToken) => (standingOf(token, nowMs).level ?? 0) >= moduleLevel.value;
  return tokens.filter(isEnough).map(({ label }) => label);
}

/** Where versions of a key have their material. */
export interface Place {
  readonly custody?: 'wrapped' | 'token' | undefined;
  /** Label, with `token`. */
  readonly token?: string | undefined;
}

/** Labels of the tokens that hold it: what is wrapped is used in those that have the roots. In order, each once. */
export const tokensOf = (places: readonly Place[], roots: readonly string[]): string[] =>
  [
    ...new Set(
      places.flatMap(({ custody, token }) => (custody === 'wrapped' ? roots : custody === 'token' && token !== undefined ? [token] : [])),
    ),
  ].sort();

/** Of the tokens that hold a key, those that are less than its floor asks for. */
export function moduleShortfalls(
  labels: readonly string[],
  tokens: readonly KnownToken[],
  { moduleLevel }: Pick<Floor, 'moduleLevel'>,
  nowMs: number,
): Shortfall[] {
  if (!moduleLevel) return [];
  const { value, profile } = moduleLevel;
  return labels.flatMap((label) => {
    const { level = 0, why } = standingOf(
      tokens.find((one) => one.label === label),
      nowMs,
    );
    return level >= value
      ? []
      : [{ what: 'moduleLevel', profile, why: `a module validated at level ${value} is asked for, and token ${label} ${why}` }];
  });
}

/** In what a token is another than its record says. PKCS#11 knows `7.8` of a firmware 7.8.1: what goes on behind it cannot be compared. */
export function mismatchesOf(
  token: Pick<KnownToken, 'model' | 'firmware' | 'serialNumber'>,
  reported: Pick<KnownToken, 'model' | 'firmware'> & { serialNumber: string },
): TokenMismatch[] {
  const isOf = (firmware: string) => token.firmware === firmware || token.firmware.startsWith(`${firmware}.`);
  return [
    ...(token.model === reported.model ? [] : [{ what: 'model' as const, recorded: token.model, reported: reported.model }]),
    ...(isOf(reported.firmware) ? [] : [{ what: 'firmware' as const, recorded: token.firmware, reported: reported.firmware }]),
    ...(token.serialNumber === undefined || token.serialNumber === reported.serialNumber
      ? []
      : [{ what: 'serialNumber' as const, recorded: token.serialNumber, reported: reported.serialNumber }]),
  ];
}
