import { claviger, Evaluator, whyNot } from '@claviger/authz';
import { changeOperations, ProblemError, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { type About, type Asker, named, RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { type Change, challengeOf, describeChange } from './change';
import { ChangeKeeper, type Kept } from './change-keeper';

type Ops = typeof changeOperations;

/** `changes.*`: commands that others approve first. Each reply has its record, which names the change. */
@Controller()
export class ChangesController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly keeper: ChangeKeeper,
    private readonly evaluator: Evaluator,
  ) {}

  @MessagePattern(changeOperations.request.name)
  request(@Payload() asked: Request<Ops['request']>, @Ctx() context: RequestContext): Promise<Answer> {
    const { operation, reason, input } = asked;
    const about: About = {
      reason: `${operation}: ${reason}`,
      ...(typeof input.keyId === 'string' ? named(input.keyId.slice(0, 200)) : {}),
    };
    return this.replies.answer(changeOperations.request, context, about, async ({ admit, intend }) => {
      admit('changes:Request', claviger);
      const kept = await this.keeper.request(context.principal, asked, ({ change, revision }) => intend({ change, revision }));
      return done(kept);
    });
  }

  @MessagePattern(changeOperations.show.name)
  show(@Payload() { change: id }: Request<Ops['show']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(changeOperations.show, context, { change: id }, async (asker) => {
      const change = await this.seen(id, context.principal, asker);
      return { result: { ...describeChange(change, Date.now()), input: change.input, challenge: challengeOf(change) } };
    });
  }

  @MessagePattern(changeOperations.list.name)
  list(@Payload() { state, before, limit }: Request<Ops['list']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(changeOperations.list, context, {}, async ({ allows, admit, admitAnyone }) => {
      const all = allows('changes:Read', claviger);
      if (all) admit('changes:Read', claviger);
      else admitAnyone();
      const stored = state === 'expired' ? ['expired', 'requested', 'approved'] : state === undefined ? undefined : [state];
      const found = await this.keeper.find({ limit, ...(stored ? { state: stored } : {}), ...(before === undefined ? {} : { before }) });
      const changes = found
        .filter((change) => all || this.concerns(change, context.principal))
        .map((change) => describeChange(change, Date.now()))
        .filter((change) => state === undefined || change.state === state);
      return { result: { changes, ...(found.length < limit ? {} : { next: found.at(-1)?.requestedAt }) } };
    });
  }

  @MessagePattern(changeOperations.approve.name)
  approve(@Payload() { change: id, proof }: Request<Ops['approve']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(changeOperations.approve, context, { change: id }, async ({ admit, intend }) => {
      admit('changes:Approve', claviger);
      return done(await this.keeper.approve(id, context.principal, proof, ({ revision }) => intend({ change: id, revision })));
    });
  }

  @MessagePattern(changeOperations.reject.name)
  reject(@Payload() { change: id, reason }: Request<Ops['reject']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(changeOperations.reject, context, { change: id, reason }, async ({ admit, intend }) => {
      admit('changes:Approve', claviger);
      return done(await this.keeper.reject(id, context.principal, reason, ({ revision }) => intend({ change: id, revision })));
    });
  }

  @MessagePattern(changeOperations.withdraw.name)
  withdraw(@Payload() { change: id, reason }: Request<Ops['withdraw']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(changeOperations.withdraw, context, { change: id, reason }, async ({ admit, admitAnyone, intend }) => {
      const own = (await this.keeper.get(id).catch(absent))?.requester === context.principal;
      if (own) admitAnyone();
      else admit('changes:Withdraw', claviger);
      return done(await this.keeper.withdraw(id, context.principal, reason, ({ revision }) => intend({ change: id, revision })));
    });
  }

  /** Whether there is such a change is told only to those whom it concerns, and to readers. */
  private async seen(id: string, principal: string, { admit, admitAnyone }: Asker): Promise<Change> {
    const change = await this.keeper.get(id).catch(absent);
    if (change && this.concerns(change, principal)) admitAnyone();
    else admit('changes:Read', claviger);
    if (!change) throw new ProblemError('ERR_CHANGE_UNKNOWN');
    return change;
  }

  private concerns(change: Change, principal: string): boolean {
    if (change.requester === principal) return true;
    return whyNot(principal, { rule: change, requester: change.requester, people: this.evaluator, nowMs: Date.now() }) === undefined;
  }
}

const done = ({ change, recorded }: Kept) => ({ result: describeChange(change, Date.now()), record: { change: change.change }, recorded });

const absent = (error: unknown): undefined => {
  if (error instanceof ProblemError && error.code === 'ERR_CHANGE_UNKNOWN') return undefined;
  throw error;
};
