import { claviger, keyResource } from '@claviger/authz';
import { keyOperations, ProblemError, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { type Admit, RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import type { Key } from './key';
import { protectKey, registerData, unprotectKey, unregisterData } from './key-protection';
import { KeyStore } from './key-store';
import { LastUses } from './last-uses';
import { RecordedChange } from './recorded-change';

type Ops = typeof keyOperations;

/** What must hold before a key is destroyed, and what proves that it was. The order itself is a command like the others: keys.controller.ts. */
@Controller()
export class DeletionController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly changes: RecordedChange,
    private readonly store: KeyStore,
    private readonly lastUses: LastUses,
  ) {}

  @MessagePattern(keyOperations.protect.name)
  protect(@Payload() request: Request<Ops['protect']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.protect, request, context, protectKey);
  }

  @MessagePattern(keyOperations.unprotect.name)
  unprotect(@Payload() request: Request<Ops['unprotect']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.changes.answer(keyOperations.unprotect, request, context, unprotectKey);
  }

  @MessagePattern(keyOperations.registerData.name)
  registerData(@Payload() request: Request<Ops['registerData']>, @Ctx() context: RequestContext): Promise<Answer> {
    const { data: name, until } = request;
    return this.changes.answer(keyOperations.registerData, request, context, (key) =>
      registerData(key, { name, by: context.principal, until }, Date.now()),
    );
  }

  @MessagePattern(keyOperations.unregisterData.name)
  unregisterData(@Payload() request: Request<Ops['unregisterData']>, @Ctx() context: RequestContext): Promise<Answer> {
    const what = { name: request.data, by: context.principal };
    return this.changes.answer(keyOperations.unregisterData, request, context, (key) => unregisterData(key, what, Date.now()));
  }

  @MessagePattern(keyOperations.lastUse.name)
  lastUse(@Payload() { keyIds }: Request<Ops['lastUse']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.lastUse, context, {}, async ({ admit }) => {
      for (const keyId of new Set(keyIds)) await this.described(keyId, admit);
      return { result: { keys: await this.lastUses.of([...new Set(keyIds)], context.trace) } };
    });
  }

  @MessagePattern(keyOperations.certificate.name)
  certificate(@Payload() { keyId }: Request<Ops['certificate']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.certificate, context, { keyId }, async ({ admit }) => {
      await this.described(keyId, admit);
      const certificate = await this.store.certificate(keyId);
      return { result: { keyId, issued: certificate !== undefined, ...(certificate ? { certificate } : {}) } };
    });
  }

  /** Whether there is such a key is told only to those who may list keys. */
  private async described(keyId: string, admit: Admit): Promise<Key> {
    const key = await this.store.get(keyId);
    if (!key) {
      admit('keys:List', claviger);
      throw new ProblemError('ERR_KEY_UNKNOWN');
    }
    admit('keys:Describe', keyResource(key));
    return key;
  }
}
