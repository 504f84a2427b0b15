import { assuredTokens, type Evaluator, type Shortfall } from '@claviger/authz';
import { type Algorithm, type AssuredTokens, algorithms, type KnownToken } from '@claviger/contracts';
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
    private readonly sightings: Pick<TokenSightings, 'all'>,
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

  /** For a request to workers: in which tokens such a key may be; nothing where it may be in any. Throws ERR_ASSURANCE where no token that they have will do. */
  async only(key: Classified, algorithm: Algorithm): Promise<{ tokens?: AssuredTokens }> {
    const { moduleLevel } = this.floors.of(key);
    if (!moduleLevel) return {};
    const [seen, known] = [await this.sightings.all(), { records: this.records, nowMs: this.nowMs() }];
    const labels = assuredTokens(known.records, { moduleLevel }, known.nowMs) ?? [];
    assertPlaceFor(key, { labels, moduleLevel, isPair: algorithms[algorithm].pair }, seen, known);
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

  /** In what the tokens of each are less than its floor; undefined of those where nobody says which tokens there are. */
  async shortfalls(keys: readonly Key[]): Promise<(key: Key) => Shortfall[] | undefined> {
    const asked = keys.some((key) => this.floors.of(key).moduleLevel);
    const known = asked ? await this.known().catch(() => undefined) : undefined;
    return (key) => {
      const floor = this.floors.of(key);
      if (!floor.moduleLevel) return [];
      return known && moduleShortfallsOf(key, floor, known);
    };
  }

  private async known(): Promise<KnownTokens> {
    return { records: this.records, roots: rootsIn(await this.sightings.all()), nowMs: this.nowMs() };
  }
}
