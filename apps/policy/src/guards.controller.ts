import { guardOperations, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { SystemReplies } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { OpenGuards } from './open-guards';

const { listGuards } = guardOperations;

/** The policies that ask for approval, and whether they hold. */
@Controller()
export class GuardsController {
  constructor(
    private readonly replies: SystemReplies,
    private readonly guards: OpenGuards,
  ) {}

  @MessagePattern(listGuards.name)
  list(@Payload() _request: Request<typeof listGuards>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(listGuards, context, () => this.guards.standings());
  }
}
