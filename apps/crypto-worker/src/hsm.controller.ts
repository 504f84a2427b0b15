import { randomBytes } from 'node:crypto';
import { internalOperations, ProblemError, type Request } from '@claviger/contracts';
import { custodiesOf, type PairAlgorithm, tokenKeyLabels, type WrappedKeyMaterial } from '@claviger/hsm';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { hsmAnswer } from './hsm-answer';
import { KeyHolder } from './key-holder';
import { TokenBreaker } from './token-breaker';
import { Tokens } from './tokens';

/** Key generation and destruction for key-lifecycle, over internal subjects that only it may publish on. What is generated leaves the token only wrapped, or not at all. */
@Controller()
export class HsmController {
  constructor(
    private readonly tokens: Tokens,
    private readonly keys: KeyHolder,
    private readonly breaker: TokenBreaker,
  ) {}

  @MessagePattern(internalOperations.generateKek.name)
  generateKek(
    @Payload() { rootLabel = tokenKeyLabels.customer.root, token: label }: Request<(typeof internalOperations)['generateKek']>,
  ): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const token = this.tokens.ofRoot(label);
      const material = token.generateKek(token.findTokenKey(rootLabel, 'secret'));
      return { rootLabel, ...(label === undefined ? {} : { token: label }), ...encoded(material) };
    });
  }

  /** Kept in the token only where it cannot leave it wrapped: token objects are few and slow to find. */
  @MessagePattern(internalOperations.generateKey.name)
  generateKey(
    @Payload()
    { algorithm, usage, kekId, kek, label: reserved, residency, tokens, custody }: Request<(typeof internalOperations)['generateKey']>,
  ): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const home = this.keys.tokenOfKek(kek);
      const token = this.tokens.for(algorithm, usage, residency, tokens, home);
      if (token === home && custodiesOf(algorithm, token.family).includes('wrapped')) {
        const made = await token.generateWrappedAsync({ algorithm, wrappingKey: () => this.keys.unwrapKek(kekId, kek) });
        return { material: { custody: 'wrapped', kekId, ...encoded(made) }, ...publicHalf(made.publicKeySpki) };
      }
      // Nobody would ever know of what stays here, and it would take one of the few places of the token.
      if (custody === 'wrapped')
        throw new ProblemError(
          'ERR_ALGORITHM_UNAVAILABLE',
          `A key of ${algorithm} would stay in token ${token.label}, and is to leave it wrapped.`,
        );
      const label = reserved ?? `key-${randomBytes(12).toString('hex')}`;
      const publicKeySpki = await token.generateTokenKeyPairAsync(label, algorithm as PairAlgorithm, usage);
      return { material: { custody: 'token', family: token.family, token: token.label, label }, ...publicHalf(publicKeySpki) };
    });
  }

  @MessagePattern(internalOperations.destroyKey.name)
  destroyKey(@Payload() { token, label }: Request<(typeof internalOperations)['destroyKey']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      // All of them are reached before any is asked: what is not found where nobody has looked is unknown.
      const where = token === undefined ? this.tokens.every() : [this.tokens.named(token)];
      return { destroyed: where.map((one) => one.destroyTokenKeyPair(label)).includes(true) };
    });
  }
}

const publicHalf = (spki: Buffer | undefined) => (spki ? { publicKeySpki: spki.toString('base64url') } : {});
const encoded = ({ wrapped, mechanism, family }: WrappedKeyMaterial) => ({ mechanism, family, wrapped: wrapped.toString('base64url') });
