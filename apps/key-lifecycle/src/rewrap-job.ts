import {
  type Classification,
  type Environment,
  type JobDescription,
  type JobFailure,
  type JobPhase,
  type JobState,
  ProblemError,
} from '@claviger/contracts';
import { generationOf, type Kek, kekIdOf, nextGeneration, type Pair } from './kek';
import { nextRootLabel, type Root } from './root';

/** A rotation of what wraps others, as it is stored: one document, changed as a whole. Times are RFC 3339, UTC. */
export interface RewrapJob {
  jobId: string;
  revision: number;
  kind: JobDescription['kind'];
  environment?: Environment;
  classification?: Classification;
  /** The token that the root is to be in. */
  token?: string;
  /** How many keys have objects in the token that is left. */
  stays?: number;
  /** The KEK, or the root, that takes the place of … */
  to: string;
  /** … these. Known once it is prepared. */
  from: string[];
  state: JobState;
  phase: JobPhase;
  total: number;
  done: number;
  pass: Pass;
  reason: string;
  startedBy: string;
  startedAt: string;
  /** When it began to rewrap. */
  rewrapsSince?: string;
  /** From then on nobody can be about to store something under the old one. */
  settledAt?: string;
  /** Nothing happens before. */
  notBefore?: string;
  finishedAt?: string;
  trouble?: NonNullable<JobDescription['trouble']>;
}

/** One walk over all that could be under the old one. */
interface Pass {
  /** When the first page of it was read, of a walk that is to be proof. */
  since?: string;
  /** Which of `from` is looked for in the index. */
  index: number;
  /** The last id that was read. */
  after?: string;
  read: number;
  /** What was under the old one, and of that what was changed by others meanwhile or could not be done. */
  found: number;
  conflicts: number;
  failed: number;
  failures: JobFailure[];
  /** Documents that nobody can read: what they are under is unknown. */
  unread: number;
}

/** What one page of a pass came to. */
export interface PageOutcome {
  read: number;
  found: number;
  done: number;
  conflicts: number;
  failures: JobFailure[];
  unread: number;
  next: string | undefined;
}

/**
 * So long after a wrapping key was retired nothing new can be stored under it: whoever chose it before writes within 60 s or not at all (kekUseMs), a write
 * that the store took late is there 30 s later (its driver gives up after 15), and clocks differ by at most 30 s.
 */
export const settleMs = 120_000;
const failuresKept = 20;
const retryMs = 5_000;

const noPass = (): Pass => ({ index: 0, read: 0, found: 0, conflicts: 0, failed: 0, failures: [], unread: 0 });

const begun = (jobId: string, about: Pick<RewrapJob, 'kind' | 'to' | 'reason' | 'startedBy'>, now: string): RewrapJob => ({
  ...{ jobId, revision: 1, ...about, from: [], state: 'running', phase: 'preparing', total: 0, done: 0, pass: noPass(), startedAt: now },
});

type Asked = Pick<RewrapJob, 'reason' | 'startedBy'>;

/** The next generation of a pair. It has one name, so that of two who ask at once there is one job. */
export function kekJob(pair: Pair, keks: readonly Kek[], { reason, startedBy }: Asked, now: string): RewrapJob {
  const generation = nextGeneration(keks);
  const { environment, classification } = pair;
  const to = kekIdOf(pair, generation);
  return { ...begun(`job_${to}`, { kind: 'rotate-kek', to, reason, startedBy }, now), environment, classification };
}

export function rootJob(roots: readonly Root[], { reason, startedBy }: Asked, now: string): RewrapJob {
  const to = nextRootLabel(roots);
  return begun(`job_${to}`, { kind: 'rotate-root', to, reason, startedBy }, now);
}

/** In a job's name, where capitals and dots have no place: no two labels come to the same. */
const slugOf = (label: string): string => label.replaceAll(/[A-Z._]/g, (one) => `_${one === '.' ? '-' : one.toLowerCase()}`);

/** A root in another token; what is there is looked through before anything is changed. */
export const rootIn = (to: string, token: string, { reason, startedBy }: Asked, now: string): RewrapJob => ({
  ...begun(`job_${to}-in-${slugOf(token)}`, { kind: 'migrate-token', to, reason, startedBy }, now),
  ...{ token, phase: 'checking' },
});

export const isUnfinished = ({ state }: RewrapJob): boolean => state === 'running' || state === 'paused';
const isOf = (job: RewrapJob, kind: RewrapJob['kind'], pair?: Pair): boolean =>
  job.kind === kind && job.environment === pair?.environment && job.classification === pair?.classification;

/** Of jobs, the newest first: what must come first for whoever asks for the same again. One that failed and was followed by another has nothing left to do. */
export function underWay(jobs: readonly RewrapJob[], kind: RewrapJob['kind'], pair?: Pair): RewrapJob | undefined {
  const [newest, ...before] = jobs.filter((job) => isOf(job, kind, pair));
  return newest?.state === 'failed' ? newest : [newest, ...before].find((job) => job !== undefined && isUnfinished(job));
}

export const kekGeneration = ({ to }: RewrapJob): number => generationOf(to);

export function pauseJob(job: RewrapJob): RewrapJob {
  if (job.state === 'paused') return job;
  if (job.state !== 'running') throw new ProblemError('ERR_KEY_STATE', `The job is ${job.state}: there is nothing to pause.`);
  return { ...job, revision: job.revision + 1, state: 'paused' };
}

/** What failed is looked at anew, from the beginning of its phase. One that waited goes on waiting. */
export function resumeJob(job: RewrapJob): RewrapJob {
  if (job.state === 'running') return job;
  if (job.state === 'done') throw new ProblemError('ERR_KEY_STATE', 'The job is done.');
  const { trouble: _, finishedAt: __, notBefore, ...rest } = job;
  const since = job.state === 'failed' ? { pass: noPass() } : notBefore === undefined ? {} : { notBefore };
  return { ...rest, revision: job.revision + 1, state: 'running', ...since };
}

const isSettled = ({ settledAt }: RewrapJob, at: string | undefined): boolean =>
  settledAt !== undefined && at !== undefined && Date.parse(at) >= Date.parse(settledAt);
/** Only a walk that began when nothing new could be stored under the old one any more has seen all that there will be. */
const isProof = (job: RewrapJob): boolean => isSettled(job, job.pass.since);

/** Whether it has come to what must not be done before nothing new can be stored under the old one. */
export const isLast = ({ phase }: RewrapJob): boolean => phase === 'verifying' || phase === 'destroying';

/** A job that is `last`, before its next step: it waits, it begins its walk, or it goes on. What was not walked in time is walked again. */
export function settling(job: RewrapJob, now: string): { job: RewrapJob; waits: boolean } {
  if (!isSettled(job, now)) {
    const settledAt = job.settledAt ?? new Date(Date.parse(now) + settleMs).toISOString();
    return { job: moved(job, { phase: 'verifying', pass: noPass(), settledAt, notBefore: settledAt }), waits: true };
  }
  return { job: isProof(job) ? job : { ...job, phase: 'verifying', pass: { ...noPass(), since: now } }, waits: false };
}

/** The new wrapping key is in use since `currentSince`, the old ones are retired. */
export function prepared(job: RewrapJob, about: { from: string[]; total: number; currentSince: string }, now: string): RewrapJob {
  return moved(job, {
    ...{ phase: 'rewrapping', from: about.from, total: about.total, rewrapsSince: now, pass: noPass() },
    settledAt: new Date(Date.parse(about.currentSince) + settleMs).toISOString(),
  });
}

export function pageDone(job: RewrapJob, page: PageOutcome, now: string): RewrapJob {
  const { after: _, ...before } = job.pass;
  const pass: Pass = {
    ...before,
    ...(page.next === undefined ? {} : { after: page.next }),
    read: before.read + page.read,
    found: before.found + page.found,
    conflicts: before.conflicts + page.conflicts,
    failed: before.failed + page.failures.length,
    failures: [...before.failures, ...page.failures].slice(0, failuresKept),
    unread: before.unread + page.unread,
  };
  const to = moved(job, { pass, done: job.done + page.done, total: Math.max(job.total, job.done + page.done) });
  return page.next === undefined ? passDone(to, now) : to;
}

/** Everything is under the new one, and what was under the old ones is ended. */
export const finished = (job: RewrapJob, now: string): RewrapJob => moved(job, { state: 'done', finishedAt: now });

/** It is tried again by itself. */
export const troubled = (job: RewrapJob, trouble: { code: JobFailure['code']; detail: string }, now: string): RewrapJob => ({
  ...moved(job, { notBefore: new Date(Date.parse(now) + retryMs).toISOString() }),
  trouble: { ...trouble, at: now },
});

/** It is not. */
export const failedJob = (job: RewrapJob, trouble: { code: JobFailure['code']; detail: string }, now: string): RewrapJob => ({
  ...moved(job, { state: 'failed', finishedAt: now }),
  trouble: { ...trouble, at: now },
});

/** A later rotation took its place: under what it made nothing is put any more. */
export const superseded = (job: RewrapJob, state: string, now: string): RewrapJob =>
  failedJob(job, { code: 'ERR_KEY_STATE', detail: `${job.to} is ${state}: a later rotation took its place.` }, now);

function passDone(job: RewrapJob, now: string): RewrapJob {
  const { index, found, conflicts, failed, unread } = job.pass;
  if (job.phase === 'checking') {
    if (unread > 0) return failedJob(job, tamperedWith(unread), now);
    if (failed > 0)
      return failedJob(
        job,
        { code: job.pass.failures[0]!.code, detail: `${failed} keys could not be used in token ${job.token}: nothing was changed.` },
        now,
      );
    return { ...job, phase: 'preparing', pass: noPass() };
  }
  if (job.phase === 'rewrapping') {
    if (job.kind === 'rotate-kek' && index + 1 < job.from.length) return { ...job, pass: { ...job.pass, index: index + 1 } };
    if (conflicts > 0) return { ...job, pass: noPass() };
    // A page that was done and not saved was counted by nobody: the index has nothing left but what failed, or cannot be read.
    const done = Math.max(job.done, job.total - failed - unread);
    return { ...job, done, phase: 'verifying', pass: noPass(), ...(job.settledAt ? { notBefore: job.settledAt } : {}) };
  }
  if (found > failed || !isProof(job)) return { ...job, pass: noPass() };
  if (unread > 0) return failedJob(job, tamperedWith(unread), now);
  if (failed > 0)
    return failedJob(
      job,
      { code: job.pass.failures[0]!.code, detail: `${failed} could not be rewrapped; the old one stays until they are.` },
      now,
    );
  return job.kind === 'rotate-kek' ? { ...job, phase: 'destroying' } : finished(job, now);
}

const tamperedWith = (unread: number): { code: JobFailure['code']; detail: string } => ({
  code: 'ERR_INTERNAL',
  detail: `${unread} documents were tampered with: what they are under is not known. Put them right, then resume.`,
});

/** What went on without trouble has none any more, and waits for nothing. */
function moved(job: RewrapJob, change: Partial<RewrapJob>): RewrapJob {
  const { trouble: _, notBefore: __, ...rest } = job;
  return { ...rest, revision: job.revision + 1, ...change };
}

export const describeJob = (job: RewrapJob, nowMs: number): JobDescription => ({
  ...{ jobId: job.jobId, kind: job.kind, to: job.to, from: job.from, state: job.state, phase: job.phase },
  ...(job.environment ? { environment: job.environment } : {}),
  ...(job.classification ? { classification: job.classification } : {}),
  ...(job.token ? { token: job.token } : {}),
  ...(job.stays === undefined ? {} : { stays: job.stays }),
  ...{ total: job.total, done: job.done, failed: job.pass.failed, failures: job.pass.failures, read: job.pass.read },
  ...rateOf(job, nowMs),
  ...{ reason: job.reason, startedBy: job.startedBy, startedAt: job.startedAt },
  ...(job.finishedAt ? { finishedAt: job.finishedAt } : {}),
  ...(job.state === 'running' && job.notBefore && Date.parse(job.notBefore) > nowMs ? { waitsUntil: job.notBefore } : {}),
  ...(job.trouble ? { trouble: job.trouble } : {}),
});

function rateOf({ rewrapsSince, finishedAt, done }: RewrapJob, nowMs: number): { perSecond?: number } {
  if (rewrapsSince === undefined) return {};
  const seconds = ((finishedAt ? Date.parse(finishedAt) : nowMs) - Date.parse(rewrapsSince)) / 1_000;
  return seconds > 0 ? { perSecond: Math.round((10 * done) / seconds) / 10 } : {};
}
