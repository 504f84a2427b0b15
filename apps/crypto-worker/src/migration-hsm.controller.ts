import {
  type KeyKind,
  migrationHsmOperations,
  ProblemError,
  type Request,
  type TokenSighting,
  tokenObjectsMost,
} from '@claviger/contracts';
import { type HeldObject, type Token, tokenFacts, tokenHoldings, tokenKeyLabels, withoutCanary } from '@claviger/hsm';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { hsmAnswer } from './hsm-answer';
import { TokenBreaker } from './token-breaker';
import { Tokens } from './tokens';

type Ops = typeof migrationHsmOperations;
const { certifier: certifierLabel } = tokenKeyLabels.customer;

/** A class, since Nest injects by it. */
export class HolderName {
  constructor(readonly name: string) {}
}

/** What this worker knows of its tokens, and the end of one that another took the place of; for key-lifecycle alone. */
@Controller()
export class MigrationHsmController {
  constructor(
    private readonly tokens: Tokens,
    private readonly breaker: TokenBreaker,
    private readonly worker: HolderName,
  ) {}

  /** No token is asked: what they can do is known since they were opened. */
  @MessagePattern(migrationHsmOperations.surveyToken.name)
  async survey(@Payload() { token: label, kinds }: Request<Ops['surveyToken']>): Promise<Answer<TokenSighting>> {
    const sighting = this.tokens.sighting(label);
    const isHere = sighting.token === 'first' || sighting.token === 'further';
    const lacks = isHere ? lackedBy(this.tokens.named(label), kinds) : [];
    return { result: { worker: this.worker.name, ...sighting, lacks } };
  }

  @MessagePattern(migrationHsmOperations.tokenHoldings.name)
  holdings(@Payload() { token: label }: Request<Ops['tokenHoldings']>): Promise<Answer> {
    return hsmAnswer(this.breaker, () => {
      const token = this.left(label);
      const objects = toldOf(tokenHoldings(token));
      const hasCertifier = objects.some((one) => one.class === 'public' && one.label === certifierLabel);
      const certifier = hasCertifier ? { certifier: token.publicKeySpki(certifierLabel).toString('base64url') } : {};
      return { identity: identityOf(token), objects, ...certifier };
    });
  }

  /** All in one turn of the event loop, from the look at what is there to the look at what is left. */
  @MessagePattern(migrationHsmOperations.emptyToken.name)
  empty(@Payload() { token: label, certifier }: Request<Ops['emptyToken']>): Promise<Answer> {
    return hsmAnswer(this.breaker, () => {
      const token = this.left(label);
      const identity = identityOf(token);
      const key = tokenHoldings(token).find(isKeyOfClaviger);
      if (key) throw new ProblemError('ERR_KEY_STATE', `Token ${label} holds ${key.class} key ${key.label}.`);
      if (certifier) token.destroyTokenKeyPair(certifierLabel);
      return { identity, objects: toldOf(withoutCanary(token)) };
    });
  }

  /** One that is the first signs records. Throws ERR_KEY_STATE, ERR_HSM_UNAVAILABLE. */
  private left(label: string): Token {
    if (label === this.tokens.primary.label)
      throw new ProblemError('ERR_KEY_STATE', `Token ${label} is the first of this worker (HSM_TOKEN_LABEL).`);
    return this.tokens.named(label);
  }
}

const lackedBy = (token: Token, kinds: readonly KeyKind[]): KeyKind[] =>
  kinds.filter(({ algorithm, usage }) => !token.supports(algorithm, usage));

/** By the names that only Claviger gives. */
const isKeyOfClaviger = ({ label }: HeldObject): boolean => /^(root(-[1-9][0-9]*)?|key-[0-9a-f]{24})$/.test(label);

function toldOf(objects: HeldObject[]): HeldObject[] {
  if (objects.length <= tokenObjectsMost) return objects;
  throw new ProblemError('ERR_KEY_STATE', `The token holds ${objects.length} objects: more than ${tokenObjectsMost} are not told by name.`);
}

const identityOf = (token: Token) => {
  const { label, serialNumber, manufacturer, model, firmware } = tokenFacts(token);
  return { label, serialNumber, manufacturer, model, firmware };
};
