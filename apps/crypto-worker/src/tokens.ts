import {
  type Algorithm,
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
    const token = known === undefined ? 'unknown' : !isReached(known) ? 'away' : label === this.primary.label ? 'first' : 'further';
    return { first: this.primary.label, token, ...(known?.region === undefined ? {} : { region: known.region }) };
  }

  /** Throws ERR_RESIDENCY: a key that may be in these regions is not used in this token. */
  assertResides(residency: Residency | undefined, label: string): void {
    const region = this.byLabel.get(label)?.region;
    if (!residesIn(residency, region)) throw elsewhere(residency as Residency, `token ${label} is ${placeOf(region)}`);
  }

  /** @throws ProblemError ERR_HSM_UNAVAILABLE: one of them fails */
  every(): Token[] {
    return this.all.map((one) => one.reached());
  }

  /**
   * The first that can use such a key for that, the one with the root (`home`) before all others; none that another one took the place of. Where it lies must not
   * depend on who is away today, and what a token can do is unknown while it is.
   * @throws ProblemError ERR_RESIDENCY (those that can are in no such region), ERR_ALGORITHM_UNAVAILABLE (all answer, and none can), ERR_HSM_UNAVAILABLE (none before one that fails can)
   */
  for(algorithm: Algorithm, usage: KeyUsage, residency?: Residency, home: Token = this.primary): Token {
    const asked: string[] = [];
    const away: string[] = [];
    const isLeft = ({ label, retired }: Reachable) => retired === true || (label === this.primary.label && home !== this.primary);
    const [first, ...others] = [...this.all].sort((a, b) => Number(b.label === home.label) - Number(a.label === home.label));
    for (const one of [first as Reachable, ...others.filter((other) => !isLeft(other))]) {
      const token = one.reached();
      if (token.supports(algorithm, usage)) {
        if (residesIn(residency, one.region)) return token;
        away.push(`token ${one.label} is ${placeOf(one.region)}`);
      }
      asked.push(`${token.label} (${token.family})`);
    }
    if (away.length > 0) throw elsewhere(residency as Residency, away.join(', '));
    throw new ProblemError(
      'ERR_ALGORITHM_UNAVAILABLE',
      `No token of this worker can ${usage} with ${algorithm}; there is ${asked.join(', ')}.`,
    );
  }
}

const placed = (one: Reachable, region: Region | undefined): Reachable => ({
  label: one.label,
  region: one.region ?? region,
  retired: one.retired,
  reached: () => one.reached(),
});
function isReached(one: Reachable): boolean {
  try {
    one.reached();
    return true;
  } catch {
    return false;
  }
}
const placeOf = (region: Region | undefined) => (region === undefined ? 'nobody said where' : `in ${region}`);
const elsewhere = (residency: Residency, where: string) =>
  new ProblemError('ERR_RESIDENCY', `The key may be in ${residency.join(', ')}, and ${where}.`);
