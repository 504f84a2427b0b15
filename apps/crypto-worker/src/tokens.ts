import { type Algorithm, ProblemError } from '@claviger/contracts';
import type { Token } from '@claviger/hsm';

/**
 * The tokens that this worker reaches. The first holds the root, and with it every wrapped key; further ones hold keys of algorithms that it lacks,
 * which stay in them.
 */
export class Tokens {
  readonly all: readonly Token[];
  private readonly byLabel: ReadonlyMap<string, Token>;

  constructor(
    readonly primary: Token,
    readonly further: readonly Token[] = [],
  ) {
    this.all = [primary, ...further];
    this.byLabel = new Map(this.all.map((token) => [token.label, token]));
  }

  /** @throws ProblemError ERR_HSM_UNAVAILABLE: another worker may reach it */
  named(label: string): Token {
    const token = this.byLabel.get(label);
    if (!token) throw new ProblemError('ERR_HSM_UNAVAILABLE', `This worker does not reach token ${label}.`);
    return token;
  }

  /** The first that can do the algorithm; the primary one, which then says that it lacks it, when none can. */
  forAlgorithm(algorithm: Algorithm): Token {
    return this.all.find((token) => token.supports(algorithm)) ?? this.primary;
  }
}
