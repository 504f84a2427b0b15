import { internalOperations, type Request } from '@claviger/contracts';
import { Token, tokenKeyLabels, type WrappedKeyMaterial } from '@claviger/hsm';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { KeyHolder } from './key-holder';
import { toProblem } from './problem';

/** Key generation for key-lifecycle, over internal subjects that only it may publish on. What is generated leaves the token only wrapped. */
@Controller()
export class HsmController {
  constructor(
    private readonly token: Token,
    private readonly keys: KeyHolder,
  ) {}

  @MessagePattern(internalOperations.generateKek.name)
  generateKek(): Promise<Answer> {
    const rootLabel = tokenKeyLabels.customer.root;
    return answered(async () => {
      const material = this.token.generateKek(this.token.findTokenKey(rootLabel, 'secret'));
      return { rootLabel, ...encoded(material) };
    });
  }

  @MessagePattern(internalOperations.generateKey.name)
  generateKey(@Payload() { algorithm, kekId, kek }: Request<(typeof internalOperations)['generateKey']>): Promise<Answer> {
    return answered(async () => {
      const made = await this.token.generateWrappedAsync({ algorithm, wrappingKey: () => this.keys.unwrapKek(kekId, kek) });
      return {
        material: { kekId, ...encoded(made) },
        ...(made.publicKeySpki ? { publicKeySpki: made.publicKeySpki.toString('base64url') } : {}),
      };
    });
  }
}

const encoded = ({ wrapped, mechanism, family }: WrappedKeyMaterial) => ({ mechanism, family, wrapped: wrapped.toString('base64url') });

async function answered(make: () => Promise<unknown>): Promise<Answer> {
  try {
    return { result: await make() };
  } catch (error) {
    throw toProblem(error);
  }
}
