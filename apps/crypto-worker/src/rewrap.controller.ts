import { setImmediate } from 'node:timers/promises';
import { type AssuredTokens, internalOperations, ProblemError, type Request } from '@claviger/contracts';
import { HsmError, type KeyHandle, type Token } from '@claviger/hsm';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { hsmAnswer } from './hsm-answer';
import { encoded, opened, type RootName, underRoot } from './kek-moves';
import { KeyHolder } from './key-holder';
import { toProblem } from './problem';
import { TokenBreaker } from './token-breaker';
import { assertDevice } from './token-identity';
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
      const token = this.keys.commonToken([to.material, ...from.map(({ material }) => material)]);
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
            token,
            tokens,
          ),
        );
      }
      return { keys: made };
    });
  }

  @MessagePattern(internalOperations.rewrapKek.name)
  rewrapKek(@Payload() { material, rootLabel, token, tokens }: Request<Ops['rewrapKek']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      this.tokens.assertAssured(tokens, token ?? this.tokens.primary.label);
      return underRoot(this.tokens, material, { rootLabel, token }, 'the KEK');
    });
  }

  /** In one turn of the event loop, and not after `until`: of two orders for the same root, one finds what the other made. */
  @MessagePattern(internalOperations.createRoot.name)
  createRoot(@Payload() { label, token: inToken, until, rehearse }: Request<Ops['createRoot']>): Promise<Answer> {
    return hsmAnswer(this.breaker, async () => {
      const token = this.tokens.ofRoot(inToken);
      if (Date.parse(until) <= Date.now()) throw new ProblemError('ERR_TIMEOUT', 'The order came too late.');
      const created = create(token, label);
      if (rehearse) await this.rehearse(rehearse, { rootLabel: label, token: inToken });
      return { created };
    });
  }

  @MessagePattern(internalOperations.destroyRoot.name)
  destroyRoot(@Payload() { label, token: inToken, serialNumber }: Request<Ops['destroyRoot']>): Promise<Answer> {
    return hsmAnswer(this.breaker, () => {
      const token = this.tokens.ofRoot(inToken);
      assertDevice(token, serialNumber);
      return { destroyed: token.destroyRootKey(label) };
    });
  }

  /**
   * A KEK that is made for it goes the way that all will go. Where that does not work, the new root stays: this takes its time, and whoever heard no answer may have
   * asked another worker and have put all KEKs under the same root meanwhile.
   */
  private async rehearse(from: RootName, to: RootName): Promise<void> {
    const token = this.tokens.ofRoot(from.token);
    const kek = token.generateKek(token.findTokenKey(from.rootLabel, 'secret'));
    await underRoot(this.tokens, { ...from, ...encoded(kek) }, to, 'a KEK that was made just now');
  }

  /** What is wrong with one key, or with the KEK that it is under, is said of it; what is wrong with the token, or with the new KEK, is thrown. */
  private one(
    { algorithm, mechanism, wrapped, residency }: WrappedItem,
    keks: { from: () => KeyHandle; to: () => KeyHandle },
    kekId: string,
    token: Token,
    tokens: AssuredTokens | undefined,
  ) {
    const request = { wrapped: Buffer.from(wrapped, 'base64url'), mechanism, algorithm };
    try {
      this.tokens.assertResides(residency, token.label);
      this.tokens.assertAssured(tokens, token.label);
    } catch (error) {
      const { code, detail } = toProblem(error);
      return { code, detail };
    }
    // Outside: a new KEK that does not open is no fault of the key.
    let to = keks.to();
    try {
      let from = keks.from();
      const material = onceMore(
        () => token.rewrap({ ...request, from, to }),
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

/** False: it was there, and there once. */
function create(token: Token, label: string): boolean {
  try {
    token.generateRootKey(label);
    return true;
  } catch (error) {
    if (!(error instanceof HsmError && error.code === 'HSM_KEY_EXISTS')) throw error;
    token.findTokenKey(label, 'secret');
    return false;
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
