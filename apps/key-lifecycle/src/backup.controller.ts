import { claviger } from '@claviger/authz';
import { type Action, backupOperations, type Operation, ProblemError, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { describeRestore } from './backup-records';
import type { Backups } from './backups';
import type { Restoring } from './restoring';

type Ops = typeof backupOperations;

interface Ready {
  backups: Backups;
  restoring: Restoring;
  tombstones: (after: string | undefined) => Promise<{ signed: string; next: string | undefined }>;
}

/** A class, since Nest injects by it. */
export class BackupParts {
  constructor(
    /** Undefined where no folder of backups is configured. */
    private readonly parts: Ready | undefined,
  ) {}

  /** @throws ProblemError ERR_BACKUP_UNAVAILABLE */
  get ready(): Ready {
    if (!this.parts) throw new ProblemError('ERR_BACKUP_UNAVAILABLE');
    return this.parts;
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
      const { backupId } = await this.parts.ready.backups.create({ by, session });
      return { result: { backupId }, reason: `${backupId}: ${reason}` };
    });
  }

  @MessagePattern(backupOperations.list.name)
  list(@Payload() { limit }: Request<Ops['list']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.answer(backupOperations.list, context, undefined, async () => ({
      result: { backups: await this.parts.ready.backups.list(limit) },
    }));
  }

  @MessagePattern(backupOperations.describe.name)
  describe(@Payload() { backupId }: Request<Ops['describe']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.answer(backupOperations.describe, context, backupId, async () => ({
      result: await this.parts.ready.backups.describe(backupId),
    }));
  }

  @MessagePattern(backupOperations.verify.name)
  verify(@Payload() { backupId }: Request<Ops['verify']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.answer(backupOperations.verify, context, backupId, async ({ by, session }) => {
      await this.parts.ready.backups.verify(backupId, { by, session });
      return { result: { backupId } };
    });
  }

  @MessagePattern(backupOperations.tombstones.name)
  tombstones(@Payload() { after }: Request<Ops['tombstones']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.answer(backupOperations.tombstones, context, undefined, async () => {
      const { signed, next } = await this.parts.ready.tombstones(after);
      return { result: { signed, ...(next === undefined ? {} : { next }) } };
    });
  }

  @MessagePattern(backupOperations.restore.name)
  restore(@Payload() request: Request<Ops['restore']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.answer(backupOperations.restore, context, request.reason, async (by) => {
      const record = await this.parts.ready.restoring.begin(request, by);
      return { result: describeRestore(record), reason: `${record.backupId}: ${request.reason}` };
    });
  }

  @MessagePattern(backupOperations.restoreStatus.name)
  restoreStatus(@Payload() _request: Request<Ops['restoreStatus']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.answer(backupOperations.restoreStatus, context, undefined, async () => {
      const restore = await this.parts.ready.restoring.status();
      return { result: restore ? { restore } : {} };
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
