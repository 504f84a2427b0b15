import { claviger, type KeyResource } from '@claviger/authz';
import {
  type Action,
  internalOperations,
  keyOperations,
  limits,
  type Operation,
  ProblemError,
  type Request,
  type RootDescription,
} from '@claviger/contracts';
import { type Answer, askInternal, type RequestContext } from '@claviger/messaging';
import { type Asker, type Done, OwedRecords, RecordedReply } from '@claviger/service';
import type { NatsConnection } from '@nats-io/transport-node';
import { Controller } from '@nestjs/common';
import { Ctx, MessagePattern, Payload } from '@nestjs/microservices';
import { Assurance } from './assurance';
import { JobStore } from './job-store';
import { isLiving, type Kek, kekIdOf, type Pair } from './kek';
import { KekStore } from './kek-store';
import { describeJob, kekJob, pauseJob, type RewrapJob, resumeJob, rootJob, settleMs, underWay } from './rewrap-job';
import { destroyRoot, type Root } from './root';
import { Roots } from './roots';
import { deviceOf } from './token-device';
import { assertNoMigration } from './token-migration';
import { TokenSurvey } from './token-survey';
import { WrappingGuard } from './wrapping-guard';

type Ops = typeof keyOperations;
const hsmTimeoutMs = 10_000;

/** A class, since Nest injects by it. */
export class OwedByJobs {
  constructor(
    readonly records: OwedRecords,
    readonly ofRoots: OwedRecords,
  ) {}
}
export class Hsm {
  constructor(readonly connection: NatsConnection) {}
}

/** The edge of the rotation of KEKs and roots: a job is begun, shown, paused and resumed here; who carries it out is rewrap-runner.ts. */
@Controller()
export class RewrapController {
  constructor(
    private readonly replies: RecordedReply,
    private readonly jobs: JobStore,
    private readonly owed: OwedByJobs,
    private readonly keks: KekStore,
    private readonly roots: Roots,
    private readonly hsm: Hsm,
    private readonly guard: WrappingGuard,
    private readonly assurance: Assurance,
    private readonly survey: TokenSurvey,
  ) {}

  @MessagePattern(keyOperations.rotateKek.name)
  rotateKek(@Payload() request: Request<Ops['rotateKek']>, @Ctx() context: RequestContext): Promise<Answer> {
    const { environment, classification, reason } = request;
    const pair = { environment, classification };
    return this.replies.answer(keyOperations.rotateKek, context, { reason }, async (asker) => {
      asker.admit('keys:RotateKek', kekResource(pair));
      await this.guard.assertNoRestore();
      await this.assurance.assertRoots(pair);
      const keks = await this.keks.ofPair(pair);
      const asked = { reason, startedBy: context.principal };
      return this.begin(asker, await this.underWay('rotate-kek', pair), () => kekJob(pair, keks, asked, new Date().toISOString()));
    });
  }

  @MessagePattern(keyOperations.rotateRoot.name)
  rotateRoot(@Payload() { reason }: Request<Ops['rotateRoot']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.rotateRoot, context, { reason }, async (asker) => {
      asker.admit('keys:RotateRoot', claviger);
      await this.guard.assertNoRestore();
      for (const kek of await this.keks.all()) if (isLiving(kek)) await this.assurance.assertRoots(kek);
      const roots = await this.roots.all();
      assertNoMigration(await this.jobs.list(limits.listPage));
      const asked = { reason, startedBy: context.principal };
      return this.begin(asker, await this.underWay('rotate-root'), () => rootJob(roots, asked, new Date().toISOString()));
    });
  }

  /** Refused while anything is under it, or while it may be about to be: what is retired just now may have been chosen a moment ago. */
  @MessagePattern(keyOperations.destroyRoot.name)
  destroyRoot(@Payload() { label, reason }: Request<Ops['destroyRoot']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.destroyRoot, context, { reason }, async ({ admit, intend }) => {
      admit('keys:DestroyRoot', claviger);
      const root = (await this.roots.all()).find((one) => one.label === label);
      if (!root) throw new ProblemError('ERR_NOT_FOUND', `There is no root ${label}.`);
      const now = new Date().toISOString();
      destroyRoot(root, now);
      await this.guard.assertNoRestore();
      await this.guard.assertNothingUnder(label);
      if (root.state === 'retiring' && Date.now() - Date.parse(root.retiredAt ?? now) < settleMs)
        throw new ProblemError('ERR_KEY_STATE', `${label} was retired less than ${settleMs / 1_000} s ago: try again then.`);
      const { serialNumber } = deviceOf(root.token, await this.survey.of(root.token));
      let owed: ReturnType<OwedRecords['owe']> | undefined;
      const destroyed = await this.roots.change(
        label,
        (one) => destroyRoot(one, now),
        ({ revision }) => {
          owed = this.owed.ofRoots.owe(label, intend({ keyId: label, revision }));
          return owed;
        },
      );
      // Said first, so that nobody takes it for one that is there; done again until the token has it no more.
      await askInternal(
        this.hsm.connection,
        internalOperations.destroyRoot,
        { label, serialNumber, ...(root.token === undefined ? {} : { token: root.token }) },
        { timeoutMs: hsmTimeoutMs, trace: context.trace },
      );
      return {
        result: describeRoot(destroyed, []),
        record: { keyId: label },
        recorded: () => {
          if (owed) this.owed.ofRoots.settle(label, owed);
        },
      };
    });
  }

  @MessagePattern(keyOperations.listRoots.name)
  listRoots(@Payload() _request: Request<Ops['listRoots']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.listRoots, context, {}, async ({ admit }) => {
      admit('keys:ListKeks', claviger);
      const keks = await this.keks.list();
      return { result: { roots: (await this.roots.all()).map((root) => describeRoot(root, keks)) } };
    });
  }

  @MessagePattern(keyOperations.listJobs.name)
  listJobs(@Payload() { state, limit }: Request<Ops['listJobs']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.listJobs, context, {}, async ({ admit }) => {
      admit('keys:ReadJobs', claviger);
      const jobs = await this.jobs.list(limit, state);
      return { result: { jobs: jobs.map((job) => describeJob(job, Date.now())) } };
    });
  }

  @MessagePattern(keyOperations.describeJob.name)
  describeJob(@Payload() { jobId }: Request<Ops['describeJob']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.replies.answer(keyOperations.describeJob, context, {}, async ({ admit }) => {
      admit('keys:ReadJobs', claviger);
      return { result: describeJob(await this.jobs.get(jobId), Date.now()) };
    });
  }

  @MessagePattern(keyOperations.pauseJob.name)
  pauseJob(@Payload() request: Request<Ops['pauseJob']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.steer(keyOperations.pauseJob, request, context, pauseJob);
  }

  @MessagePattern(keyOperations.resumeJob.name)
  resumeJob(@Payload() request: Request<Ops['resumeJob']>, @Ctx() context: RequestContext): Promise<Answer> {
    return this.steer(keyOperations.resumeJob, request, context, resumeJob);
  }

  /** The job that is under way, or failed and is to be resumed first, or a new one: the same for all who ask at once, since its name says what it makes. */
  private async begin({ intend }: Asker, underWay: RewrapJob | undefined, make: () => RewrapJob): Promise<Done> {
    if (underWay) return { result: describeJob(underWay, Date.now()), record: { keyId: underWay.to } };
    const wanted = make();
    const owed = this.owed.records.owe(wanted.jobId, intend({ keyId: wanted.to, revision: wanted.revision }));
    const { job, isNew } = await this.jobs.insert(wanted, [owed]);
    return {
      result: describeJob(job, Date.now()),
      record: { keyId: job.to },
      ...(isNew ? { recorded: () => this.owed.records.settle(job.jobId, owed) } : {}),
    };
  }

  private steer(
    operation: Operation,
    { jobId, reason }: { jobId: string; reason: string },
    context: RequestContext,
    decide: (job: RewrapJob) => RewrapJob,
  ): Promise<Answer> {
    return this.replies.answer(operation, context, { reason }, async ({ admit, intend }) => {
      admit(operation.action as Action, claviger);
      let owed: ReturnType<OwedRecords['owe']> | undefined;
      const job = await this.jobs.change(jobId, decide, ({ revision }) => {
        owed = this.owed.records.owe(jobId, intend({ keyId: jobId, revision }));
        return owed;
      });
      return {
        result: describeJob(job, Date.now()),
        record: { keyId: jobId },
        recorded: () => {
          if (owed) this.owed.records.settle(jobId, owed);
        },
      };
    });
  }

  private async underWay(kind: RewrapJob['kind'], pair?: Pair): Promise<RewrapJob | undefined> {
    return underWay(await this.jobs.list(limits.listPage), kind, pair);
  }
}

const isUnder = (kek: Kek, label: string): boolean => isLiving(kek) && kek.material.rootLabel === label;

const describeRoot = ({ revision: _, ...root }: Root, keks: readonly Kek[]): RootDescription => ({
  ...root,
  keks: keks.filter((kek) => isUnder(kek, root.label)).length,
});

/** What policy reads of a KEK: a key of its environment and classification, which nobody uses by name. */
const kekResource = (pair: Pair): KeyResource => ({
  type: 'Key',
  id: kekIdOf(pair, 1),
  revision: 'proposed',
  attrs: { ...pair, owner: 'key-lifecycle', consumers: [], algorithm: 'AES_256', usage: 'wrap' },
});
