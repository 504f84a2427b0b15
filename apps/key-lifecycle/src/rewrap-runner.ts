import { ProblemError } from '@claviger/contracts';
import type { LoggerService } from '@nestjs/common';
import type { ClaimedJob, JobStore } from './job-store';
import { type RewrapJob, troubled } from './rewrap-job';
import type { RewrapSteps } from './rewrap-steps';

/** Longer than a step takes; a job whose replica died goes on elsewhere after it. */
const claimMs = 90_000;
const pollEveryMs = 1_000;
/** Documents that are only read cost little beside those that are rewrapped. */
const scanPerRewrap = 10;
const scanPage = 200;
/** Of a second: small enough that a page is no burst for those who encrypt at the same time. */
const pageSeconds = 0.2;
const largestPage = 100;

/** Carries out jobs, one at a time, as many in the system as there are replicas. What a replica has in hand when it dies, another one takes up where it was. */
export class RewrapRunner {
  private timer: NodeJS.Timeout | undefined;
  private working: Promise<void> | undefined;
  private stopped = false;
  private wake: () => void = () => undefined;

  constructor(
    private readonly parts: {
      jobs: JobStore;
      steps: Pick<RewrapSteps, 'next'>;
      /** Unique per process. */
      holder: string;
      keysPerSecond: number;
      logger: LoggerService;
      nowMs?: () => number;
    },
  ) {}

  start(): void {
    this.timer = setInterval(() => void this.work(), pollEveryMs);
  }

  /** Waits for the step in hand; another replica goes on at once. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    this.wake();
    await this.working;
  }

  /** Resolves when there is nothing to do now. */
  work(): Promise<void> {
    this.working ??= this.all()
      .catch((error) => this.parts.logger.warn(`jobs: ${String(error)}`))
      .finally(() => (this.working = undefined));
    return this.working;
  }

  private async all(): Promise<void> {
    while (!this.stopped) {
      const claimed = await this.parts.jobs.claim(this.parts.holder, this.iso(), this.iso(claimMs));
      if (!claimed) return;
      await this.carryOn(claimed);
    }
  }

  private async carryOn(first: ClaimedJob): Promise<void> {
    const { jobs, logger } = this.parts;
    const { jobId } = first.job;
    logger.log(`job ${jobId} is ${first.job.phase}, ${first.job.done} of ${first.job.total} done`);
    for (let claimed: ClaimedJob | undefined = first; claimed; ) {
      const { job } = claimed;
      if (this.stopped) return jobs.release(claimed, null);
      if (job.notBefore !== undefined && Date.parse(job.notBefore) > this.nowMs()) return jobs.release(claimed, job.notBefore);
      const begunMs = performance.now();
      const to = await this.step(job);
      claimed = await jobs.save(claimed, to, to.state === 'running' ? this.iso(claimMs) : null);
      if (!claimed) return logger.log(`job ${jobId} was paused, or another replica has it`);
      if (to.phase !== job.phase || to.state !== job.state) logger.log(`job ${jobId} is ${to.state}, ${to.phase}, ${to.done} done`);
      if (to.state !== 'running') return;
      await this.pace(to.done - job.done, to.pass.read - job.pass.read, performance.now() - begunMs);
    }
  }

  private async step(job: RewrapJob): Promise<RewrapJob> {
    const size = Math.min(largestPage, Math.max(1, Math.round(this.parts.keysPerSecond * pageSeconds)));
    try {
      return await this.parts.steps.next(job, { size, scan: scanPage });
    } catch (error) {
      this.parts.logger.warn(`job ${job.jobId} stands still: ${String(error)}`);
      const { code, detail } = error instanceof ProblemError ? error.toProblem() : { code: 'ERR_INTERNAL' as const, detail: String(error) };
      return troubled(job, { code, detail }, this.iso());
    }
  }

  /** Not faster than so many a second, on average and from page to page. */
  private async pace(done: number, read: number, tookMs: number): Promise<void> {
    const { keysPerSecond } = this.parts;
    const dueMs = Math.max(done / keysPerSecond, read / (keysPerSecond * scanPerRewrap)) * 1_000;
    if (dueMs <= tookMs) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, dueMs - tookMs);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private nowMs(): number {
    return (this.parts.nowMs ?? Date.now)();
  }

  private iso(inMs = 0): string {
    return new Date(this.nowMs() + inMs).toISOString();
  }
}
