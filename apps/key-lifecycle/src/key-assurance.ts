import { type Bound, type Floor, moduleShortfalls, type Shortfall, tokensOf } from '@claviger/authz';
import { type KnownToken, ProblemError, type SeenToken } from '@claviger/contracts';
import type { Key } from './key';

/** What is known of the tokens, at a time. */
export interface KnownTokens {
  /** On record, in the policies in force. */
  readonly records: readonly KnownToken[];
  /** Labels of those that have the roots. */
  readonly roots: readonly string[];
  readonly nowMs: number;
}

type Classified = Pick<Key, 'environment' | 'classification'>;

/** In what the tokens that a key is in are less than its floor. */
export const moduleShortfallsOf = (
  { versions }: Pick<Key, 'versions'>,
  floor: Floor,
  { records, roots, nowMs }: KnownTokens,
): Shortfall[] =>
  moduleShortfalls(
    tokensOf(
      versions.flatMap(({ material }) => (material ? [material] : [])),
      roots,
    ),
    records,
    floor,
    nowMs,
  );

/** Throws ERR_ASSURANCE. */
export function assertKept(key: Pick<Key, 'versions'> & Classified, floor: Floor, known: KnownTokens): void {
  const found = moduleShortfallsOf(key, floor, known);
  if (found.length > 0) throw refused(key, found);
}

/** That nothing under a root of these tokens is less than the floor. Throws ERR_ASSURANCE. */
export function assertRootsKept(pair: Classified, floor: Floor, { records, roots, nowMs }: KnownTokens): void {
  const found = moduleShortfalls(roots, records, floor, nowMs);
  if (found.length > 0) throw refused(pair, found);
}

/**
 * Before anything is made: whether any token that workers have lets new material be in it. A secret key is always under a root; where a pair comes to be
 * is for the worker to say, which asks again. Throws ERR_ASSURANCE.
 */
export function assertPlaceFor(
  pair: Classified,
  { labels, moduleLevel, isPair }: { labels: readonly string[]; moduleLevel: Bound; isPair: boolean },
  seen: readonly SeenToken[],
  { records, nowMs }: Omit<KnownTokens, 'roots'>,
): void {
  const places = [...new Set(seen.filter(({ root }) => root || isPair).map(({ label }) => label))];
  if (places.some((label) => labels.includes(label))) return;
  throw refused(pair, moduleShortfalls(places, records, { moduleLevel }, nowMs));
}

/** As `assertPlaceFor`, where it is not asked which tokens workers have: whether any that is on record would do. Throws ERR_ASSURANCE. */
export function assertSomePlace(pair: Classified, { labels, moduleLevel }: { labels: readonly string[]; moduleLevel: Bound }): void {
  if (labels.length > 0) return;
  const { profile, value } = moduleLevel;
  throw refused(pair, [
    { what: 'moduleLevel', profile, why: `a module validated at level ${value} is asked for, and no token on record is one` },
  ]);
}

const refused = ({ environment, classification }: Classified, found: readonly Shortfall[]) =>
  new ProblemError(
    'ERR_ASSURANCE',
    `For a ${classification} ${environment} key, ${found.map(({ profile, why }) => `profile ${profile}: ${why}`).join('; ')}.`,
  );
