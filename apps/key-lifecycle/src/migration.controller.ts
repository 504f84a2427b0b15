import { claviger } from '@claviger/authz';
import { keyOperations, limits, type Request } from '@claviger/contracts';
import type { Answer, RequestContext } from '@claviger/messaging';
import { type Asker, type Done, RecordedReply } from '@claviger/service';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { JobStore } from './job-store';
import { OwedByJobs } from './rewrap.controller';
import { describeJob, type RewrapJob, resumeJob } from './rewrap-job';
import { Roots } from './roots';
import { assertLeaves, changedNothing, destinationOf, migrationJob, rootJobUnderWay } from './token-migration';
import { TokenSurvey } from './token-survey';
import { WrappingGuard } from './wrapping-guard';

type Ops = typeof keyOperations;

/** The edge of the move from one token to another. */
@Controller()
export class MigrationController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly jobs: JobStore,
    private readonly owed: OwedByJobs,
    private readonly roots: Roots,
    private readonly survey: TokenSurvey,
    private readonly guard: WrappingGuard,
  ) {}

  /** What can be refused at once is refused here, before there is a job. */
  @MessagePattern(keyOperations.migrateToken.name)
  migrate(@Payload() { token, reason }: Request<Ops['migrateToken']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.migrateToken, context, { reason }, async (asker) => {
      asker.admit('keys:MigrateToken', claviger);
      await this.guard.assertNoRestore();
      const underWay = rootJobUnderWay(await this.jobs.list(limits.listPage), token);
      if (underWay && !changedNothing(underWay)) return done(underWay);
      const roots = await this.roots.all();
      assertLeaves(roots, destinationOf(token, await this.survey.of(token)));
      return this.begin(asker, migrationJob(roots, token, { reason, startedBy: context.principal }, new Date().toISOString()));
    });
  }

  /** The same job for all who ask at once. One that ended before it changed anything looks again. */
  private async begin({ intend }: Asker, wanted: RewrapJob): Promise<Done> {
    const owed = this.owed.records.owe(wanted.jobId, intend({ keyId: wanted.to, revision: wanted.revision }));
    const { job, isNew } = await this.jobs.insert(wanted, [owed]);
    if (isNew) return { ...done(job), recorded: () => this.owed.records.settle(job.jobId, owed) };
    if (!changedNothing(job)) return done(job);
    let again: typeof owed | undefined;
    const resumed = await this.jobs.change(
      job.jobId,
      (one) => (changedNothing(one) ? resumeJob(one) : one),
      ({ revision }) => {
        again = this.owed.records.owe(job.jobId, intend({ keyId: job.to, revision }));
        return again;
      },
    );
    return { ...done(resumed), recorded: () => again && this.owed.records.settle(job.jobId, again) };
  }
}

const done = (job: RewrapJob): Done => ({ result: describeJob(job, Date.now()), record: { keyId: job.to } });
