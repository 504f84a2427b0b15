import { claviger } from '@claviger/authz';
import { type Action, backupOperations, type Operation, ProblemError, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import type { Backups } from './backups';

type Ops = typeof backupOperations;

/** A class, since Nest injects by it. */
export class BackupParts {
  constructor(
    /** Undefined where no folder of backups is configured. */
    readonly backups: Backups | undefined,
  ) {}

  /** @throws ProblemError ERR_BACKUP_UNAVAILABLE */
  get ready(): Backups {
    if (!this.backups) throw new ProblemError('ERR_BACKUP_UNAVAILABLE');
    return this.backups;
  }
}

/** The edge of backups. Whoever asks gets descriptions; nothing that is in a backup leaves this service by it. */
@Controller()
export class BackupController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly parts: BackupParts,
  ) {}

  @MessagePattern(backupOperations.create.name)
  create(@Payload() { reason }: Request<Ops['create']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.answer(backupOperations.create, context, reason, async ({ by, session }) => {
      const { backupId } = await this.parts.ready.create({ by, session });
      return { result: { backupId }, reason: `${backupId}: ${reason}` };
    });
  }

  @MessagePattern(backupOperations.list.name)
  list(@Payload() { limit }: Request<Ops['list']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.answer(backupOperations.list, context, undefined, async () => ({
      result: { backups: await this.parts.ready.list(limit) },
    }));
  }

  @MessagePattern(backupOperations.describe.name)
  describe(@Payload() { backupId }: Request<Ops['describe']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.answer(backupOperations.describe, context, backupId, async () => ({ result: await this.parts.ready.describe(backupId) }));
  }

  @MessagePattern(backupOperations.verify.name)
  verify(@Payload() { backupId }: Request<Ops['verify']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.answer(backupOperations.verify, context, backupId, async ({ by, session }) => {
      await this.parts.ready.verify(backupId, { by, session });
      return { result: { backupId } };
    });
  }

  private answer(
    operation: Operation,
    context: RequestContext,
    reason: string | undefined,
    work: (who: { by: string; session: string }) => Promise<{ result: unknown; reason?: string }>,
  ): Promise<Answer> {
    return this.replies.answer(operation, context, reason === undefined ? {} : { reason }, async ({ admit }) => {
      admit(operation.action as Action, claviger);
      const { result, reason: said } = await work({ by: context.principal, session: context.session });
      return { result, ...(said === undefined ? {} : { record: { reason: said } }) };
    });
  }
}
