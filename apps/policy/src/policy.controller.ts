import { claviger, Evaluator } from '@claviger/authz';
import { ProblemError, policyOperations, type Request, type Result } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { RecordedReply, SystemReplies } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { assertGuarded } from './assert-guarded';
import { BundleKeeper } from './bundle-keeper';

const { show, publish } = policyOperations;

/** `policy.*`: the bundle in force, and the next one. */
@Controller()
export class PolicyController {
  constructor(
    private readonly recorded: RecordedReply,
    private readonly replies: SystemReplies,
    private readonly bundles: BundleKeeper,
    private readonly evaluator: Evaluator,
  ) {}

  @MessagePattern(show.name)
  show(@Payload() _request: Request<typeof show>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(show, context, () => {
      const { current, missing } = this.evaluator;
      if (!current) throw new ProblemError('ERR_STATE_STALE');
      return { bundle: current.bundle, hash: current.hash, ...(missing.length > 0 ? { missingActions: [...missing] } : {}) };
    });
  }

  @MessagePattern(publish.name)
  publish(@Payload() request: Request<typeof publish>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.recorded.answer(publish, context, { reason: request.reason }, async ({ admit, admitWith, intend }) => {
      admit('policy:Publish', claviger);
      const { bundle, hash, recorded } = await this.bundles.publish(
        request,
        new Date(),
        ({ revision }) => intend({ revision }),
        (from, to) => assertGuarded(from, to, admitWith, 'policy:Publish of this bundle'),
      );
      const policies = bundle.policies.match(/^\s*@id\(/gm)?.length ?? 0;
      const { revision, publishedAt, principals } = bundle;
      const result: Result<typeof publish> = { revision, hash, publishedAt, principals: principals.length, policies };
      return { result, recorded };
    });
  }
}
