import type { Passed, Verdict } from './recorded-decision';

/** Decisions that are alike: one principal, action and key, decided one way then and another way by the candidate. */
export interface ChangedDecision {
  readonly principal: string;
  readonly action: string;
  readonly keyId?: string;
  readonly was: Verdict;
  readonly wasBy: readonly string[];
  readonly is: Verdict;
  readonly isBy: readonly string[];
  /** Of the candidate, in words. */
  readonly why: string;
  count: number;
  /** Indexes in the ledger. */
  first: number;
  last: number;
  /** Of these, decided with the key's attributes of today, which are of another revision than the record's. */
  keyChanged: number;
  /** The first one. */
  readonly example: {
    readonly time: string;
    readonly mfa?: boolean;
    readonly method?: string;
    readonly context?: Readonly<Record<string, string>>;
  };
}
/** Why it cannot be said what the candidate would decide. */
export type Undecidable =
  | 'the key is not known'
  | 'no key is named'
  | 'its address is not in the ledger, or was erased'
  | 'its session is not in the ledger'
  | 'the record does not say whether there was a second factor'
  | 'the record does not say who the new owner was'
  | 'the record does not say how its issuer authenticated the caller (acr)'
  | 'it took a use of a grant, which is not counted again'
  | 'the policies fail on it';

export interface Tally {
  decisions: number;
  unchanged: number;
  /** The same decision, by other policies. */
  otherPolicies: number;
  /** Decided with the key's attributes of today, which are of another revision than the record's. */
  keyChanged: number;
  passed: Partial<Record<Passed, number>>;
  undecidable: Map<string, { why: Undecidable; action: string; count: number; first: number; last: number }>;
  changed: Map<string, ChangedDecision>;
  /** Questions that Cedar was asked: what is distinct among the decisions. */
  evaluated: number;
}

export const emptyTally = (): Tally => ({
  ...{ decisions: 0, unchanged: 0, otherPolicies: 0, keyChanged: 0, evaluated: 0 },
  passed: {},
  undecidable: new Map(),
  changed: new Map(),
});

/** Adds `more` to `all`. */
export function addTally(all: Tally, more: Tally): void {
  for (const name of ['decisions', 'unchanged', 'otherPolicies', 'keyChanged', 'evaluated'] as const) all[name] += more[name];
  for (const [why, count] of Object.entries(more.passed) as [Passed, number][]) all.passed[why] = (all.passed[why] ?? 0) + count;
  for (const [key, found] of more.undecidable) addRange(all.undecidable, key, found);
  for (const [key, found] of more.changed) {
    const known = all.changed.get(key);
    if (known) known.keyChanged += found.keyChanged;
    addRange(all.changed, key, found);
  }
}

export function addRange<T extends { count: number; first: number; last: number }>(all: Map<string, T>, key: string, found: T): void {
  const known = all.get(key);
  if (!known) {
    all.set(key, found);
    return;
  }
  known.count += found.count;
  known.first = Math.min(known.first, found.first);
  known.last = Math.max(known.last, found.last);
}
