import { cryptoOperations, type ItemOutcome, ProblemError, type Request } from '@claviger/contracts';
import { type Answer, RecordedProblem, type RequestContext } from '@claviger/messaging';
import { Controller, Logger } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { CryptoController } from './crypto.controller';

type Ops = typeof cryptoOperations;
const logger = new Logger('crypto-batch');

/** Many at once: each item as if it had come alone, side by side, so that their records share one batch of the ledger. */
@Controller()
export class CryptoBatchController {
  constructor(private readonly one: CryptoController) {}

  @MessagePattern(cryptoOperations.encryptBatch.name)
  encrypt(@Payload() { items }: Request<Ops['encryptBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.encrypt(item, context));
  }

  @MessagePattern(cryptoOperations.decryptBatch.name)
  decrypt(@Payload() { items }: Request<Ops['decryptBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.decrypt(item, context));
  }

  @MessagePattern(cryptoOperations.reEncryptBatch.name)
  reEncrypt(@Payload() { items }: Request<Ops['reEncryptBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.reEncrypt(item, context));
  }

  @MessagePattern(cryptoOperations.signBatch.name)
  sign(@Payload() { items }: Request<Ops['signBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.sign(item, context));
  }

  @MessagePattern(cryptoOperations.verifyBatch.name)
  verify(@Payload() { items }: Request<Ops['verifyBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.verify(item, context));
  }

  @MessagePattern(cryptoOperations.generateMacBatch.name)
  generateMac(@Payload() { items }: Request<Ops['generateMacBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.generateMac(item, context));
  }

  @MessagePattern(cryptoOperations.verifyMacBatch.name)
  verifyMac(@Payload() { items }: Request<Ops['verifyMacBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.verifyMac(item, context));
  }

  @MessagePattern(cryptoOperations.wrapKeyBatch.name)
  wrapKey(@Payload() { items }: Request<Ops['wrapKeyBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.wrapKey(item, context));
  }

  @MessagePattern(cryptoOperations.unwrapKeyBatch.name)
  unwrapKey(@Payload() { items }: Request<Ops['unwrapKeyBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.unwrapKey(item, context));
  }

  @MessagePattern(cryptoOperations.deriveSharedSecretBatch.name)
  deriveSharedSecret(@Payload() { items }: Request<Ops['deriveSharedSecretBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.deriveSharedSecret(item, context));
  }

  @MessagePattern(cryptoOperations.encapsulateBatch.name)
  encapsulate(@Payload() { items }: Request<Ops['encapsulateBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.encapsulate(item, context));
  }

  @MessagePattern(cryptoOperations.decapsulateBatch.name)
  decapsulate(@Payload() { items }: Request<Ops['decapsulateBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.decapsulate(item, context));
  }

  @MessagePattern(cryptoOperations.getPublicKeyBatch.name)
  getPublicKey(@Payload() { items }: Request<Ops['getPublicKeyBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.getPublicKey(item, context));
  }

  @MessagePattern(cryptoOperations.generateDataKeyBatch.name)
  generateDataKey(@Payload() { items }: Request<Ops['generateDataKeyBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.generateDataKey(item, context));
  }

  @MessagePattern(cryptoOperations.generateDataKeyPairBatch.name)
  generateDataKeyPair(@Payload() { items }: Request<Ops['generateDataKeyPairBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.generateDataKeyPair(item, context));
  }

  @MessagePattern(cryptoOperations.generateRandomBatch.name)
  generateRandom(@Payload() { items }: Request<Ops['generateRandomBatch']>, @Ctx() context: RequestContext): Promise<Answer> {
    return each(items, (item) => this.one.generateRandom(item, context));
  }
}

async function each<I>(items: readonly I[], one: (item: I) => Promise<Answer>): Promise<Answer> {
  const settled = await Promise.allSettled(items.map(one));
  return { result: { results: settled.map((s) => (s.status === 'fulfilled' ? s.value : refused(s.reason))) } };
}

function refused(error: unknown): ItemOutcome<never> {
  if (error instanceof RecordedProblem) return { ...refused(error.problem), receipt: error.receipt };
  if (error instanceof ProblemError) {
    // The cause stays here.
    if (error.cause !== undefined) logger.warn(`an item of a batch: ${error.message}: ${String(error.cause)}`);
    return { problem: error.toProblem() };
  }
  logger.error('an item of a batch failed', error instanceof Error ? error.stack : String(error));
  return { problem: new ProblemError('ERR_INTERNAL').toProblem() };
}
