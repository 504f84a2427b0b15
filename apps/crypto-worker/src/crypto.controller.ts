import { cryptoOperations, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern } from '@nestjs/microservices';
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
  encrypt(request: Request<Ops['encrypt']>, context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.encrypt, request, context, (key) => this.operations.encrypt(request, key));
  }

  @MessagePattern(cryptoOperations.decrypt.name)
  decrypt(request: Request<Ops['decrypt']>, context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.decrypt, request, context, (key) => this.operations.decrypt(request, key));
  }

  @MessagePattern(cryptoOperations.sign.name)
  sign(request: Request<Ops['sign']>, context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.sign, request, context, (key) => this.operations.sign(request, key));
  }

  @MessagePattern(cryptoOperations.verify.name)
  verify(request: Request<Ops['verify']>, context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.verify, request, context, (key) => this.operations.verify(request, key));
  }

  @MessagePattern(cryptoOperations.generateDataKey.name)
  generateDataKey(request: Request<Ops['generateDataKey']>, context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.generateDataKey, request, context, (key) => this.operations.generateDataKey(request, key));
  }

  @MessagePattern(cryptoOperations.generateRandom.name)
  generateRandom(request: Request<Ops['generateRandom']>, context: RequestContext): Promise<Answer> {
    return this.recorded.ofSystem(cryptoOperations.generateRandom, context, () => this.operations.generateRandom(request));
  }
}
