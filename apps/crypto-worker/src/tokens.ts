import { type Algorithm, type KeyUsage, ProblemError } from '@claviger/contracts';
import type { Token } from '@claviger/hsm';
import { ConfigurationError } from '@claviger/operability';
import type { FurtherToken } from './further-token';

/** A token that may be away. */
export type Reachable = Pick<FurtherToken, 'label' | 'reached'>;

/**
 * The tokens that this worker reaches. The first holds the root, and with it every wrapped key; further ones hold keys of algorithms that it lacks,
 * which stay in them.
 */
export class Tokens {
  private readonly all: readonly Reachable[];
  private readonly byLabel: ReadonlyMap<string, Reachable>;

  constructor(
    readonly primary: Token,
    readonly further: readonly Reachable[] = [],
  ) {
    this.all = [{ label: primary.label, reached: () => primary }, ...further];
    this.byLabel = new Map(this.all.map((one) => [one.label, one]));
    if (this.byLabel.size < this.all.length)
      throw new ConfigurationError([`FURTHER_TOKENS_FILE: lists ${primary.label}, which is the first token (HSM_TOKEN_LABEL)`]);
  }

  /** @throws ProblemError ERR_HSM_UNAVAILABLE: it fails, or only another worker reaches it */
  named(label: string): Token {
    const token = this.byLabel.get(label);
    if (!token) throw new ProblemError('ERR_HSM_UNAVAILABLE', `This worker does not reach token ${label}.`);
    return token.reached();
  }

  /** @throws ProblemError ERR_HSM_UNAVAILABLE: one of them fails */
  every(): Token[] {
    return this.all.map((one) => one.reached());
  }

  /**
   * The first that can use such a key for that. Where it lies must not depend on who is away today, and what a token can do is unknown while it is.
   * @throws ProblemError ERR_ALGORITHM_UNAVAILABLE (all answer, and none can), ERR_HSM_UNAVAILABLE (none before one that fails can)
   */
  for(algorithm: Algorithm, usage: KeyUsage): Token {
    const asked: string[] = [];
    for (const one of this.all) {
      const token = one.reached();
      if (token.supports(algorithm, usage)) return token;
      asked.push(`${token.label} (${token.family})`);
    }
    throw new ProblemError(
      'ERR_ALGORITHM_UNAVAILABLE',
      `No token of this worker can ${usage} with ${algorithm}; there is ${asked.join(', ')}.`,
    );
  }
}
