import { Evaluator } from '@claviger/authz';
import { ProblemError, policyOperations, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { BundleKeeper } from './bundle-keeper';
import { RecordedReply } from './recorded-reply';

const { show, publish } = policyOperations;

/** `policy.*`: the bundle in force, and the next one. */
@Controller()
export class PolicyController {
  constructor(
    private readonly recorded: RecordedReply,
    private readonly bundles: BundleKeeper,
    private readonly evaluator: Evaluator,
  ) {}

  @MessagePattern(show.name)
  show(@Payload() _request: Request<typeof show>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.decided(show, context, () => {
      const { current } = this.evaluator;
      if (!current) throw new ProblemError('ERR_STATE_STALE');
      return { result: { bundle: current.bundle, hash: current.hash } };
    });
  }

  @MessagePattern(publish.name)
  publish(@Payload() request: Request<typeof publish>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.decided(publish, context, async () => {
      const { bundle, hash } = await this.bundles.publish(request, context.principal, new Date());
      const policies = bundle.policies.match(/^\s*@id\(/gm)?.length ?? 0;
      return {
        result: { revision: bundle.revision, hash, publishedAt: bundle.publishedAt, principals: bundle.principals.length, policies },
        reason: request.reason,
      };
    });
  }
}
