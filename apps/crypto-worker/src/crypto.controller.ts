import { cryptoOperations, type Item } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { KeyEstablishment } from './key-establishment';
import { Operations } from './operations';
import { RecordedUse } from './recorded-use';

type Ops = typeof cryptoOperations;

/** The edge: a validated request in, an answer out. */
@Controller()
export class CryptoController {
  constructor(
    private readonly recorded: RecordedUse,
    private readonly operations: Operations,
    private readonly establishment: KeyEstablishment,
  ) {}

  @MessagePattern(cryptoOperations.encrypt.name)
  encrypt(@Payload() request: Item<Ops['encrypt']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.encrypt, request, context, (key) => this.operations.encrypt(request, key));
  }

  @MessagePattern(cryptoOperations.decrypt.name)
  decrypt(@Payload() request: Item<Ops['decrypt']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.decrypt, request, context, (key) => this.operations.decrypt(request, key));
  }

  @MessagePattern(cryptoOperations.reEncrypt.name)
  reEncrypt(@Payload() request: Item<Ops['reEncrypt']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.reEncryption(cryptoOperations.reEncrypt, request, context, (from, to) =>
      this.operations.reEncrypt(request, from, to),
    );
  }

  @MessagePattern(cryptoOperations.sign.name)
  sign(@Payload() request: Item<Ops['sign']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.sign, request, context, (key) => this.operations.sign(request, key));
  }

  @MessagePattern(cryptoOperations.verify.name)
  verify(@Payload() request: Item<Ops['verify']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.verify, request, context, (key) => this.operations.verify(request, key));
  }

  @MessagePattern(cryptoOperations.generateMac.name)
  generateMac(@Payload() request: Item<Ops['generateMac']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.generateMac, request, context, (key) => this.operations.generateMac(request, key));
  }

  @MessagePattern(cryptoOperations.verifyMac.name)
  verifyMac(@Payload() request: Item<Ops['verifyMac']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.verifyMac, request, context, (key) => this.operations.verifyMac(request, key));
  }

  @MessagePattern(cryptoOperations.wrapKey.name)
  wrapKey(@Payload() request: Item<Ops['wrapKey']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.wrapKey, request, context, (key) => this.establishment.wrapKey(request, key));
  }

  @MessagePattern(cryptoOperations.unwrapKey.name)
  unwrapKey(@Payload() request: Item<Ops['unwrapKey']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.unwrapKey, request, context, (key) => this.establishment.unwrapKey(request, key));
  }

  @MessagePattern(cryptoOperations.deriveSharedSecret.name)
  deriveSharedSecret(@Payload() request: Item<Ops['deriveSharedSecret']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.deriveSharedSecret, request, context, (key) =>
      this.establishment.deriveSharedSecret(request, key),
    );
  }

  @MessagePattern(cryptoOperations.encapsulate.name)
  encapsulate(@Payload() request: Item<Ops['encapsulate']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.encapsulate, request, context, (key) => this.establishment.encapsulate(request, key));
  }

  @MessagePattern(cryptoOperations.decapsulate.name)
  decapsulate(@Payload() request: Item<Ops['decapsulate']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.decapsulate, request, context, (key) => this.establishment.decapsulate(request, key));
  }

  @MessagePattern(cryptoOperations.getPublicKey.name)
  getPublicKey(@Payload() request: Item<Ops['getPublicKey']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.getPublicKey, request, context, (key) => this.operations.getPublicKey(request, key));
  }

  @MessagePattern(cryptoOperations.generateDataKey.name)
  generateDataKey(@Payload() request: Item<Ops['generateDataKey']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.generateDataKey, request, context, (key) => this.operations.generateDataKey(request, key));
  }

  @MessagePattern(cryptoOperations.generateDataKeyPair.name)
  generateDataKeyPair(@Payload() request: Item<Ops['generateDataKeyPair']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofKey(cryptoOperations.generateDataKeyPair, request, context, (key) =>
      this.operations.generateDataKeyPair(request, key),
    );
  }

  @MessagePattern(cryptoOperations.generateRandom.name)
  generateRandom(@Payload() request: Item<Ops['generateRandom']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.ofSystem(cryptoOperations.generateRandom, context, () => this.operations.generateRandom(request));
  }
}
