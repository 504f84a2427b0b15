import { assuredTokens, type Evaluator, type Shortfall } from '@claviger/authz';
import { type Algorithm, type AssuredTokens, algorithms, type KnownToken, type SeenToken } from '@claviger/contracts';
import type { Floors } from './floors';
import type { Key } from './key';
import { assertKept, assertPlaceFor, assertRootsKept, assertSomePlace, type KnownTokens, moduleShortfallsOf } from './key-assurance';
import { rootsIn, type TokenSightings } from './token-sightings';

type Classified = Pick<Key, 'environment' | 'classification'>;

/** Holds keys against the validation of the tokens that they are in, where a profile asks for it. Where none does, no worker is asked anything. */
export class Assurance {
  constructor(
    private readonly policies: Pick<Evaluator, 'current'>,
    private readonly floors: Pick<Floors, 'of'>,
    private readonly sightings: Pick<TokenSightings, 'all' | 'ofEveryWorker'>,
    private readonly nowMs: () => number = Date.now,
  ) {}

  /** Revision of the policies in force; 0 before the first. */
  get bundle(): number {
    return this.policies.current?.bundle.revision ?? 0;
  }

  /** What they say of tokens. */
  get records(): readonly KnownToken[] {
    return this.policies.current?.bundle.tokens ?? [];
  }

  /**
   * For a request to workers: in which tokens such a key may be; nothing where it may be in any. Throws ERR_ASSURANCE where no token on record will do, or none
   * that workers have: while one of them has not said which it has, the worker that is asked says it.
   */
  async only(key: Classified, algorithm: Algorithm): Promise<{ tokens?: AssuredTokens }> {
    const { moduleLevel } = this.floors.of(key);
    if (!moduleLevel) return {};
    const [seen, known] = [await this.sightings.ofEveryWorker(), { records: this.records, nowMs: this.nowMs() }];
    const labels = assuredTokens(known.records, { moduleLevel }, known.nowMs) ?? [];
    if (seen) assertPlaceFor(key, { labels, moduleLevel, isPair: algorithms[algorithm].pair }, seen, known);
    else assertSomePlace(key, { labels, moduleLevel });
    return { tokens: labels };
  }

  /** The same of what is under a root, for the worker to refuse: no token that workers have is looked at. Throws ERR_ASSURANCE where none is on record that will do. */
  allowed(pair: Classified): { tokens?: AssuredTokens } {
    const { moduleLevel } = this.floors.of(pair);
    if (!moduleLevel) return {};
    const labels = assuredTokens(this.records, { moduleLevel }, this.nowMs()) ?? [];
    assertSomePlace(pair, { labels, moduleLevel });
    return { tokens: labels };
  }

  /** Throws ERR_ASSURANCE where the key, as it would be, is in a token that is less than its floor. */
  async assertKept(key: Key): Promise<void> {
    const floor = this.floors.of(key);
    if (floor.moduleLevel) assertKept(key, floor, await this.known());
  }

  /** The same of the roots, for what is under a key-encryption key. */
  async assertRoots(pair: Classified): Promise<void> {
    const floor = this.floors.of(pair);
    if (floor.moduleLevel) assertRootsKept(pair, floor, await this.known());
  }

  /** In what the tokens of each are less than its floor; undefined of those while a worker has not said which tokens it has: another replica may know more. */
  async shortfalls(keys: readonly Key[]): Promise<(key: Key) => Shortfall[] | undefined> {
    const asked = keys.some((key) => this.floors.of(key).moduleLevel);
    const seen = asked ? await this.sightings.ofEveryWorker().catch(() => undefined) : undefined;
    const known = seen && this.knownOf(seen);
    return (key) => {
      const floor = this.floors.of(key);
      if (!floor.moduleLevel) return [];
      return known && moduleShortfallsOf(key, floor, known);
    };
  }

  private async known(): Promise<KnownTokens> {
    return this.knownOf(await this.sightings.all());
  }

  private knownOf(seen: readonly SeenToken[]): KnownTokens {
    return { records: this.records, roots: rootsIn(seen), nowMs: this.nowMs() };
  }
}
