import {
  type Algorithm,
  type AssuredTokens,
  type KeyUsage,
  ProblemError,
  type Region,
  type Residency,
  residesIn,
  type TokenSighting,
} from '@claviger/contracts';
import type { Token } from '@claviger/hsm';
import type { FurtherToken } from './further-token';

/** A token that may be away. */
export type Reachable = Pick<FurtherToken, 'label' | 'reached'> & {
  readonly region?: Region | undefined;
  /** Another one took its place: nothing new is made in it. */
  readonly retired?: boolean | undefined;
};

/**
 * The tokens that this worker reaches. One of them holds the root, and with it every wrapped key: the first, or the one that takes its place. The others hold
 * keys of algorithms that it lacks, which stay in them.
 */
export class Tokens {
  readonly further: readonly Reachable[];
  private readonly all: readonly Reachable[];
  private readonly byLabel: ReadonlyMap<string, Reachable>;

  constructor(
    readonly primary: Token,
    /** Of the first one it may say the region: one list serves workers before and after another token becomes their first. */
    listed: readonly Reachable[] = [],
    /** Where the worker is, and each token of which nothing else is said. */
    region?: Region,
  ) {
    this.further = listed.filter(({ label }) => label !== primary.label);
    const first = { ...listed.find(({ label }) => label === primary.label), label: primary.label, reached: () => primary };
    this.all = [first, ...this.further].map((one) => placed(one, region));
    this.byLabel = new Map(this.all.map((one) => [one.label, one]));
  }

  /** @throws ProblemError ERR_HSM_UNAVAILABLE: it fails, or only another worker reaches it */
  named(label: string): Token {
    const token = this.byLabel.get(label);
    if (!token) throw new ProblemError('ERR_HSM_UNAVAILABLE', `This worker does not reach token ${label}.`);
    return token.reached();
  }

  /** The token that holds a root: the first where nothing is said. @throws ProblemError ERR_HSM_UNAVAILABLE */
  ofRoot(label: string | undefined): Token {
    return label === undefined ? this.primary : this.named(label);
  }

  /** What there is to tell of a token without asking it. */
  sighting(label: string): Pick<TokenSighting, 'first' | 'token' | 'region'> {
    const known = this.byLabel.get(label);
    const token =
      known === undefined ? 'unknown' : reachedOf(known) === undefined ? 'away' : label === this.primary.label ? 'first' : 'further';
    return { first: this.primary.label, token, ...(known?.region === undefined ? {} : { region: known.region }) };
  }

  /** Throws ERR_RESIDENCY: a key that may be in these regions is not used in this token. */
  assertResides(residency: Residency | undefined, label: string): void {
    const region = this.byLabel.get(label)?.region;
    if (!residesIn(residency, region)) throw elsewhere(residency as Residency, `token ${label} is ${placeOf(region)}`);
  }

  /** Throws ERR_ASSURANCE: its profile lets the key be in these tokens only. */
  assertAssured(only: AssuredTokens | undefined, label: string): void {
    if (!isIn(only, label)) throw unassured(only as AssuredTokens, [label]);
  }

  /** Of every one where it is, and the token itself where it is reached; the first one first. */
  listed(): { label: string; region: Region | undefined; token: Token | undefined }[] {
    return this.all.map((one) => ({ label: one.label, region: one.region, token: reachedOf(one) }));
  }

  /** @throws ProblemError ERR_HSM_UNAVAILABLE: one of them fails */
  every(): Token[] {
    return this.all.map((one) => one.reached());
  }

  /**
   * The first that can use such a key for that, the one with the root (`home`) before all others; none that another one took the place of. Where it lies must not
   * depend on who is away today, and what a token can do is unknown while it is.
   * @throws ProblemError ERR_RESIDENCY (those that can are in no such region), ERR_ASSURANCE (nor among `only`), ERR_ALGORITHM_UNAVAILABLE (all answer, and none can), ERR_HSM_UNAVAILABLE (none before one that fails can)
   */
  for(algorithm: Algorithm, usage: KeyUsage, residency?: Residency, only?: AssuredTokens, home: Token = this.primary): Token {
    const asked: string[] = [];
    const away: string[] = [];
    const below: string[] = [];
    const isLeft = ({ label, retired }: Reachable) => retired === true || (label === this.primary.label && home !== this.primary);
    const [first, ...others] = [...this.all].sort((a, b) => Number(b.label === home.label) - Number(a.label === home.label));
    for (const one of [first as Reachable, ...others.filter((other) => !isLeft(other))]) {
      const token = one.reached();
      if (token.supports(algorithm, usage)) {
        if (!residesIn(residency, one.region)) away.push(`token ${one.label} is ${placeOf(one.region)}`);
        else if (isIn(only, one.label)) return token;
        else below.push(one.label);
      }
      asked.push(`${token.label} (${token.family})`);
    }
    if (below.length > 0) throw unassured(only as AssuredTokens, below);
    if (away.length > 0) throw elsewhere(residency as Residency, away.join(', '));
    throw new ProblemError(
      'ERR_ALGORITHM_UNAVAILABLE',
      `No token of this worker can ${usage} with ${algorithm}; there is ${asked.join(', ')}.`,
    );
  }
}

const isIn = (only: AssuredTokens | undefined, label: string) => only === undefined || only.includes(label);
const unassured = (only: AssuredTokens, labels: readonly string[]) =>
  new ProblemError(
    'ERR_ASSURANCE',
    `Its profile lets the key be in ${only.join(', ')}, whose validation is active and high enough, and it would be in ${labels.join(', ')}.`,
  );

function reachedOf(one: Reachable): Token | undefined {
  try {
    return one.reached();
  } catch {
    return undefined;
  }
}

const placed = (one: Reachable, region: Region | undefined): Reachable => ({
  label: one.label,
  region: one.region ?? region,
  retired: one.retired,
  reached: () => one.reached(),
});
const placeOf = (region: Region | undefined) => (region === undefined ? 'nobody said where' : `in ${region}`);
const elsewhere = (residency: Residency, where: string) =>
  new ProblemError('ERR_RESIDENCY', `The key may be in ${residency.join(', ')}, and ${where}.`);
