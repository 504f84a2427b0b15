import { type Algorithm, type KeyUsage, ProblemError } from '@claviger/contracts';
import type { Token } from '@claviger/hsm';
import { ConfigurationError } from '@claviger/operability';

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
    if (this.byLabel.size < this.all.length)
      throw new ConfigurationError([`FURTHER_TOKENS_FILE: lists ${primary.label}, which is the first token (HSM_TOKEN_LABEL)`]);
  }

  /** @throws ProblemError ERR_HSM_UNAVAILABLE: another worker may reach it */
  named(label: string): Token {
    const token = this.byLabel.get(label);
    if (!token) throw new ProblemError('ERR_HSM_UNAVAILABLE', `This worker does not reach token ${label}.`);
    return token;
  }

  /** The first that can use such a key for that. @throws ProblemError ERR_ALGORITHM_UNAVAILABLE */
  for(algorithm: Algorithm, usage: KeyUsage): Token {
    const token = this.all.find((one) => one.supports(algorithm, usage));
    if (token) return token;
    const asked = this.all.map(({ label, family }) => `${label} (${family})`).join(', ');
    throw new ProblemError('ERR_ALGORITHM_UNAVAILABLE', `No token of this worker can ${usage} with ${algorithm}; there is ${asked}.`);
  }
}
