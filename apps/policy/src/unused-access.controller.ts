import { assignmentsOf, Evaluator } from '@claviger/authz';
import { accessLifecycleOperations, type Request, type Result } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { SystemReplies } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { login, unusedIn } from './staleness';
import { Standings } from './standings';

const { listUnused } = accessLifecycleOperations;

/** `access.list-unused`: what is told, and taken away, because nobody uses it. */
@Controller()
export class UnusedAccessController {
  constructor(
    private readonly replies: SystemReplies,
    private readonly evaluator: Evaluator,
    private readonly standings: Standings,
  ) {}

  @MessagePattern(listUnused.name)
  list(@Payload() { after, limit }: Request<typeof listUnused>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(listUnused, context, async (): Promise<Result<typeof listUnused>> => {
      const bundle = this.evaluator.current?.bundle;
      const staleness = bundle?.staleness;
      if (!staleness) return { unused: [], watched: 0 };
      const enabled = new Set(bundle.principals.flatMap(({ id, disabled }) => (disabled ? [] : [id])));
      const held = new Set(assignmentsOf(bundle).map(({ id }) => id));
      const { noticeDays, removeAfterDays } = staleness;
      const { values, next } = await this.standings.store.page(limit, after);
      const unused = values.flatMap((standing) =>
        unusedIn(standing, staleness, Date.now())
          // What was taken away since it was last looked at is no more.
          .filter(({ what }) => enabled.has(standing.id) && (what === login || held.has(what)))
          .map(({ what, at, ...one }) => ({
            ...{ principal: standing.id, ...one, removalAt: at },
            ...(what === login ? {} : { assignment: what }),
          })),
      );
      return { noticeDays, removeAfterDays, unused, watched: values.length, ...(next === undefined ? {} : { next }) };
    });
  }
}
