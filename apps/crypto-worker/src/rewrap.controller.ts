import { setImmediate } from 'node:timers/promises';
import { type AssuredTokens, internalOperations, ProblemError, type Request } from '@claviger/contracts';
import { HsmError, type KeyHandle, type WrappedKeyMaterial } from '@claviger/hsm';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { hsmAnswer } from './hsm-answer';
import { KeyHolder } from './key-holder';
import { toProblem } from './problem';
import { TokenBreaker } from './token-breaker';
import { Tokens } from './tokens';

type Ops = typeof internalOperations;
type WrappedItem = Request<Ops['rewrapKeys']>['keys'][number];

/** Rotation of KEKs and roots inside the token, for key-lifecycle. Nothing leaves it but wrapped under the new key. */
@Controller()
export class RewrapController {
  constructor(
    private readonly tokens: Tokens,
    private readonly keys: KeyHolder,
    private readonly breaker: TokenBreaker,
  ) {}

  /** One after another, and requests of callers between any two of them: a batch holds nobody up for longer than one key takes. */
  @MessagePattern(internalOperations.rewrapKeys.name)
  rewrapKeys(@Payload() { from, to, tokens, keys }: Request<Ops['rewrapKeys']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const old = new Map(from.map(({ kekId, material }) => [kekId, material]));
      const made = [];
      for (const item of keys) {
        await setImmediate();
        const material = old.get(item.kekId);
        if (!material) throw new ProblemError('ERR_MALFORMED_REQUEST', `${item.kekId} is not among the KEKs of the request.`);
        made.push(
          this.one(
            item,
            {
              from: () => opened(item.kekId, () => this.keys.unwrapKek(item.kekId, material)),
              to: () => this.keys.unwrapKek(to.kekId, to.material),
            },
            to.kekId,
            tokens,
          ),
        );
      }
      return { keys: made };
    });
  }

  @MessagePattern(internalOperations.rewrapKek.name)
  rewrapKek(@Payload() { material, rootLabel, tokens }: Request<Ops['rewrapKek']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const { primary } = this.tokens;
      this.tokens.assertAssured(tokens, primary.label);
      const { mechanism, wrapped } = material;
      const request = { wrapped: Buffer.from(wrapped, 'base64url'), mechanism, algorithm: 'AES_256' } as const;
      const rewrap = () => {
        // The new root first: a token that lacks it is no fault of the KEK.
        const to = primary.findTokenKey(rootLabel, 'secret');
        return opened('the KEK', () => primary.rewrap({ ...request, from: primary.findTokenKey(material.rootLabel, 'secret'), to }));
      };
      return { rootLabel, ...encoded(onceMore(rewrap)) };
    });
  }

  /** In one turn of the event loop, and not after `until`: of two orders for the same root, one finds what the other made. */
  @MessagePattern(internalOperations.createRoot.name)
  createRoot(@Payload() { label, until }: Request<Ops['createRoot']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const { primary } = this.tokens;
      if (Date.parse(until) <= Date.now()) throw new ProblemError('ERR_TIMEOUT', 'The order came too late.');
      try {
        primary.generateRootKey(label);
      } catch (error) {
        if (!(error instanceof HsmError && error.code === 'HSM_KEY_EXISTS')) throw error;
        // There, and there once.
        primary.findTokenKey(label, 'secret');
        return { created: false };
      }
      return { created: true };
    });
  }

  @MessagePattern(internalOperations.destroyRoot.name)
  destroyRoot(@Payload() { label }: Request<Ops['destroyRoot']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => ({ destroyed: this.tokens.primary.destroyRootKey(label) }));
  }

  /** What is wrong with one key, or with the KEK that it is under, is said of it; what is wrong with the token, or with the new KEK, is thrown. */
  private one(
    { algorithm, mechanism, wrapped, residency }: WrappedItem,
    keks: { from: () => KeyHandle; to: () => KeyHandle },
    kekId: string,
    tokens: AssuredTokens | undefined,
  ) {
    const request = { wrapped: Buffer.from(wrapped, 'base64url'), mechanism, algorithm };
    try {
      this.tokens.assertResides(residency, this.tokens.primary.label);
      this.tokens.assertAssured(tokens, this.tokens.primary.label);
    } catch (error) {
      const { code, detail } = toProblem(error);
      return { code, detail };
    }
    // Outside: a new KEK that does not open is no fault of the key.
    let to = keks.to();
    try {
      let from = keks.from();
      const material = onceMore(
        () => this.tokens.primary.rewrap({ ...request, from, to }),
        () => {
          [from, to] = [keks.from(), keks.to()];
        },
      );
      return { custody: 'wrapped' as const, kekId, ...encoded(material) };
    } catch (error) {
      if (error instanceof ProblemError && error.code === 'ERR_KEY_UNREADABLE')
        return { code: error.code, detail: error.detail ?? error.message };
      if (!(error instanceof HsmError) || error.retryable) throw error;
      if (error.code === 'HSM_WRAPPED_KEY_INVALID') return { code: 'ERR_KEY_UNREADABLE' as const, detail: error.what };
      return { code: toProblem(error).code, detail: error.what };
    }
  }
}

const encoded = ({ wrapped, mechanism, family }: WrappedKeyMaterial) => ({ mechanism, family, wrapped: wrapped.toString('base64url') });

/** What is damaged, or under what the token does not hold, stays so: it is said of what was to be opened, and is no failure of the HSM. */
function opened<T>(what: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (error instanceof HsmError && (error.code === 'HSM_WRAPPED_KEY_INVALID' || error.code === 'HSM_KEY_NOT_FOUND'))
      throw new ProblemError('ERR_KEY_UNREADABLE', `${what} does not open: ${error.what}`, { cause: error });
    throw error;
  }
}

/** When the token lost its sessions the handles are looked up anew. */
function onceMore<T>(use: () => T, anew: () => void = () => undefined): T {
  try {
    return use();
  } catch (error) {
    if (!(error instanceof HsmError && error.code === 'HSM_SESSION_LOST')) throw error;
    anew();
    return use();
  }
}
