import { cryptoOperations, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { Operations } from './operations';
import { RecordedUse } from './recorded-use';

type Ops = typeof cryptoOperations;

/** The edge: a validated request in, an answer out. */
@Controller()
export class CryptoController {
  constructor(
    private readonly recorded: RecordedUse,
    private readonly operations: Operations,
  ) {}

  @MessagePattern(cryptoOperations.encrypt.name)
  encrypt(@Payload() request: Request<Ops['encrypt']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.encrypt, request, context, (key) => this.operations.encrypt(request, key));
  }

  @MessagePattern(cryptoOperations.decrypt.name)
  decrypt(@Payload() request: Request<Ops['decrypt']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.decrypt, request, context, (key) => this.operations.decrypt(request, key));
  }

  @MessagePattern(cryptoOperations.sign.name)
  sign(@Payload() request: Request<Ops['sign']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.sign, request, context, (key) => this.operations.sign(request, key));
  }

  @MessagePattern(cryptoOperations.verify.name)
  verify(@Payload() request: Request<Ops['verify']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.verify, request, context, (key) => this.operations.verify(request, key));
  }

  @MessagePattern(cryptoOperations.generateDataKey.name)
  generateDataKey(@Payload() request: Request<Ops['generateDataKey']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.generateDataKey, request, context, (key) => this.operations.generateDataKey(request, key));
  }

  @MessagePattern(cryptoOperations.generateRandom.name)
  generateRandom(@Payload() request: Request<Ops['generateRandom']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofSystem(cryptoOperations.generateRandom, context, () => this.operations.generateRandom(request));
  }
}
