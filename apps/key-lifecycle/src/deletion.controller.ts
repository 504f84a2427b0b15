import { keyOperations, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { named, RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { protectKey, registerData, unprotectKey, unregisterData } from './key-protection';
import { KeyStore } from './key-store';
import { LastUses } from './last-uses';
import { NamedKeys } from './named-keys';
import { RecordedChange } from './recorded-change';

type Ops = typeof keyOperations;

/** What must hold before a key is destroyed, and what proves that it was. The order itself is a command like the others: keys.controller.ts. */
@Controller()
export class DeletionController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly changes: RecordedChange,
    private readonly store: KeyStore,
    private readonly names: NamedKeys,
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
      const described = new Set<string>();
      for (const ref of new Set(keyIds)) described.add((await this.names.described(named(ref), admit)).keyId);
      return { result: { keys: await this.lastUses.of([...described], context.trace) } };
    });
  }

  @MessagePattern(keyOperations.certificate.name)
  certificate(@Payload() { keyId: ref }: Request<Ops['certificate']>, @Ctx() context: RequestContext): Promise<Answer> {
    const about = named(ref);
    return this.replies.answer(keyOperations.certificate, context, about, async ({ admit }) => {
      const { keyId } = await this.names.described(about, admit);
      const certificate = await this.store.certificate(keyId);
      return { result: { keyId, issued: certificate !== undefined, ...(certificate ? { certificate } : {}) } };
    });
  }
}
