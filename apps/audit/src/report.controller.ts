import { type Request, reportOperations } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { SystemReplies } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';

const { recordReport } = reportOperations;

/** Reports are sealed by the record of this operation, which is a leaf of the ledger like any other. */
@Controller()
export class ReportController {
  constructor(private readonly replies: SystemReplies) {}

  @MessagePattern(recordReport.name)
  record(@Payload() { sha256, document }: Request<typeof recordReport>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(recordReport, context, () => ({ sha256 }), { digest: sha256, reason: document });
  }
}
