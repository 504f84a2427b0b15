import { Evaluator } from '@claviger/authz';
import { ProblemError, policyOperations, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { SystemReplies } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { BundleKeeper } from './bundle-keeper';

const { show, publish } = policyOperations;

/** `policy.*`: the bundle in force, and the next one. */
@Controller()
export class PolicyController {
  constructor(
    private readonly replies: SystemReplies,
    private readonly bundles: BundleKeeper,
    private readonly evaluator: Evaluator,
  ) {}

  @MessagePattern(show.name)
  show(@Payload() _request: Request<typeof show>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(show, context, () => {
      const { current } = this.evaluator;
      if (!current) throw new ProblemError('ERR_STATE_STALE');
      return { bundle: current.bundle, hash: current.hash };
    });
  }

  @MessagePattern(publish.name)
  publish(@Payload() request: Request<typeof publish>, @Ctx() context: RequestContext): Promise<Answer> {
    const work = async () => {
      const { bundle, hash } = await this.bundles.publish(request, context.principal, new Date());
      const policies = bundle.policies.match(/^\s*@id\(/gm)?.length ?? 0;
      return { revision: bundle.revision, hash, publishedAt: bundle.publishedAt, principals: bundle.principals.length, policies };
    };
    return this.replies.answer(publish, context, work, { reason: request.reason });
  }
}
