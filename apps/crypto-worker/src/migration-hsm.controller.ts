import { isDeepStrictEqual } from 'node:util';
import {
  type KeyKind,
  migrationHsmOperations,
  ProblemError,
  type Request,
  type TokenSighting,
  tokenObjectsMost,
} from '@claviger/contracts';
import { canaryLabel, type HeldObject, type Token, tokenHoldings, tokenKeyLabels, withoutCanary } from '@claviger/hsm';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { hsmAnswer } from './hsm-answer';
import { TokenBreaker } from './token-breaker';
import { assertDevice, identityOf, serialNumberOf } from './token-identity';
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

  /** The token is asked for nothing but which one it is: what it can do is known since it was opened. */
  @MessagePattern(migrationHsmOperations.surveyToken.name)
  async survey(@Payload() { token, kinds }: Request<Ops['surveyToken']>): Promise<Answer<TokenSighting>> {
    const label = token ?? this.tokens.primary.label;
    const sighting = this.tokens.sighting(label);
    const here = sighting.token === 'first' || sighting.token === 'further' ? this.tokens.named(label) : undefined;
    const serialNumber = here && serialNumberOf(here);
    const lacks = here ? lackedBy(here, kinds) : [];
    return { result: { worker: this.worker.name, ...sighting, ...(serialNumber === undefined ? {} : { serialNumber }), lacks } };
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

  /** All in one turn of the event loop, from the look at what is there to the look at what is left. Nothing is destroyed unless all is as it was seen before. */
  @MessagePattern(migrationHsmOperations.emptyToken.name)
  empty(@Payload() { token: label, serialNumber, certifier, foreign }: Request<Ops['emptyToken']>): Promise<Answer> {
    return hsmAnswer(this.breaker, () => {
      const token = this.left(label);
      assertDevice(token, serialNumber);
      const { ours, others } = apart(toldOf(tokenHoldings(token)), certifier !== undefined);
      const key = others.find(isKeyOfClaviger);
      if (key) throw new ProblemError('ERR_KEY_STATE', `Token ${label} holds ${key.class} key ${key.label}.`);
      if (!isDeepStrictEqual(sorted(others), sorted(foreign)))
        throw new ProblemError('ERR_KEY_STATE', `Token ${label} does not hold what was seen in it a moment before: ask again.`);
      const twice = ours.find((one, i) => ours.findIndex((other) => textOf(other) === textOf(one)) !== i);
      if (twice) throw new ProblemError('ERR_KEY_STATE', `Token ${label} holds ${textOf(twice)} more than once: one of them is not ours.`);
      const isPublicHere = ours.some((one) => one.class === 'public');
      if (certifier !== undefined && isPublicHere && token.publicKeySpki(certifierLabel).toString('base64url') !== certifier)
        throw new ProblemError('ERR_KEY_STATE', `Token ${label} has another certifier than the one that was seen in it.`);
      const identity = identityOf(token);
      if (certifier !== undefined) token.destroyTokenKeyPair(certifierLabel);
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

/** What only workers needed of a token, and all else that is in it. */
function apart(objects: readonly HeldObject[], withCertifier: boolean) {
  const isOurs = ({ class: of, label }: HeldObject): boolean =>
    (of === 'data' && label === canaryLabel) || (withCertifier && label === certifierLabel && (of === 'private' || of === 'public'));
  return { ours: objects.filter(isOurs), others: objects.filter((one) => !isOurs(one)) };
}
const textOf = ({ class: of, label }: HeldObject): string => `${of} ${label}`;
const sorted = (objects: readonly HeldObject[]): string[] =>
  objects.map(({ class: of, label, id }) => JSON.stringify([of, label, id])).sort();

function toldOf(objects: HeldObject[]): HeldObject[] {
  if (objects.length <= tokenObjectsMost) return objects;
  throw new ProblemError('ERR_KEY_STATE', `The token holds ${objects.length} objects: more than ${tokenObjectsMost} are not told by name.`);
}
