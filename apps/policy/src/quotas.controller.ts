import { Evaluator } from '@claviger/authz';
import { ProblemError, type Quota, quotaOperations, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { SystemReplies } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { QuotaCounts } from './quota-counts';

const { listQuotas, showQuota } = quotaOperations;

/** The quotas in force, and what is left of them. */
@Controller()
export class QuotasController {
  constructor(
    private readonly replies: SystemReplies,
    private readonly evaluator: Evaluator,
    private readonly counts: QuotaCounts,
  ) {}

  @MessagePattern(listQuotas.name)
  list(@Payload() _request: Request<typeof listQuotas>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(listQuotas, context, async () => {
      const quotas = [];
      // One after the other: there may be many, and nobody waits for them.
      for (const quota of this.inForce()) {
        const { since } = this.counts.window(quota);
        const counts = await this.counts.of(quota, since);
        const highest = counts?.[0];
        quotas.push({
          ...{ quota, since: new Date(since).toISOString() },
          ...(counts ? { counts: counts.length } : {}),
          ...(highest ? { highest } : {}),
        });
      }
      const grants = [];
      for (const { id, principal, uses } of this.evaluator.current?.bundle.grants ?? [])
        if (uses !== undefined)
          grants.push({ grant: id, principal, uses, given: Math.min(uses, await this.counts.ofGrant(id, principal)) });
      return { quotas, grants };
    });
  }

  @MessagePattern(showQuota.name)
  show(@Payload() request: Request<typeof showQuota>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(showQuota, context, async () => {
      const quota = this.inForce().find(({ id }) => id === request.quota);
      if (!quota) throw new ProblemError('ERR_NOT_FOUND', `There is no quota ${request.quota} in force.`);
      const { since, until } = this.counts.window(quota);
      const counts = await this.counts.of(quota, since, request);
      if (!counts) throw new ProblemError('ERR_PAYLOAD_TOO_LARGE', 'It counts more than can be read at once: name a principal or a key.');
      return { quota, since: new Date(since).toISOString(), until: new Date(until).toISOString(), counts };
    });
  }

  private inForce(): readonly Quota[] {
    const { current } = this.evaluator;
    if (!current) throw new ProblemError('ERR_STATE_STALE');
    return current.bundle.quotas ?? [];
  }
}
