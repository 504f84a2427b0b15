/** What became of one test vector. `accepted`: taken, and what it gave is what the vector says; `mismatch`: taken, and it gave something else. */
export type Verdict = 'accepted' | 'rejected' | 'mismatch';

/** Thrown for a vector that asks for what Claviger does not do; the reason is shown. */
export class Skip extends Error {}

/** Thrown for a vector that asks for what the token at hand does not do, and another may. */
export class TokenLacks extends Skip {}

export interface Counts {
  passed: number;
  failed: string[];
  /** How many by reason. */
  skipped: Map<string, number>;
  /** How many were judged, by the token that did it. */
  tokens: Map<string, number>;
}

export const noCounts = (): Counts => ({ passed: 0, failed: [], skipped: new Map(), tokens: new Map() });

export const countOne = (counts: Map<string, number>, name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1);

/**
 * A `valid` vector must be taken and give what it says, an `invalid` one must be refused. An `acceptable` one may be either, but what it gives when it is
 * taken must be right.
 */
export function passes(result: string, verdict: Verdict): boolean {
  if (result === 'valid') return verdict === 'accepted';
  if (result === 'invalid') return verdict === 'rejected';
  return result === 'acceptable' && verdict !== 'mismatch';
}
