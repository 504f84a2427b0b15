import { auditOperations, ProblemError, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { SystemReplies } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { CheckpointStore } from './checkpoint-store';
import { LedgerReader } from './ledger-reader';
import { OpenLedger } from './open-ledger';

type Operations = typeof auditOperations;

/** The edge: message in, message out. */
@Controller()
export class AuditController {
  constructor(
    private readonly replies: SystemReplies,
    private readonly ledger: OpenLedger,
    private readonly reader: LedgerReader,
    private readonly checkpoints: CheckpointStore,
  ) {}

  @MessagePattern('audit.checkpoint')
  checkpoint(@Payload() _: Request<Operations['checkpoint']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(auditOperations.checkpoint, context, async () => {
      this.ledger.assertOpen();
      const newest = await this.checkpoints.newest();
      if (!newest) throw new ProblemError('ERR_NOT_FOUND', 'Nothing is signed yet.');
      const { note, size, root, streamSeq, findings } = newest;
      return { checkpoint: note, size, root, streamSeq, findings };
    });
  }

  @MessagePattern('audit.inclusion')
  inclusion(@Payload() request: Request<Operations['inclusion']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(auditOperations.inclusion, context, () => this.reader.inclusion(request));
  }

  @MessagePattern('audit.consistency')
  consistency(@Payload() request: Request<Operations['consistency']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(auditOperations.consistency, context, () => this.reader.consistency(request));
  }

  @MessagePattern('audit.entries')
  entries(@Payload() request: Request<Operations['entries']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(auditOperations.entries, context, () => this.reader.entries(request));
  }

  @MessagePattern('audit.query')
  query(@Payload() request: Request<Operations['query']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(auditOperations.query, context, () => this.reader.query(request));
  }
}
