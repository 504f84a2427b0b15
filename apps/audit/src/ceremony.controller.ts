import { auditOperations, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { SystemReplies } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { CeremonyRecords } from './ceremony-records';

type Operations = typeof auditOperations;

/** Key ceremonies enter the ledger: they were held before anything ran that could have recorded them. */
@Controller()
export class CeremonyController {
  constructor(
    private readonly replies: SystemReplies,
    private readonly ceremonies: CeremonyRecords,
  ) {}

  @MessagePattern('audit.record-ceremony')
  record(@Payload() { transcript }: Request<Operations['recordCeremony']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(auditOperations.recordCeremony, context, () => this.ceremonies.record(transcript, context));
  }
}
