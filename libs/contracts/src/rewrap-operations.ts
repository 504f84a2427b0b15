import { z } from 'zod';
import { ErrorCodeSchema } from './errors';
import { TokenLabel } from './further-tokens';
import { limits } from './limits';
import { defineOperation } from './operation';
import { Classification, Environment, PrincipalId, RootLabel, Timestamp, WrappingKeyState } from './primitives';

const reason = z.string().min(1).max(500);

/** Of its kind and of what it makes, so that the same rotation asked for twice is one job. */
export const JobId = z
  .string()
  .max(100)
  .regex(/^job_[a-z0-9][a-z0-9_-]*$/, 'a job id is job_ and what it makes');
export type JobId = z.infer<typeof JobId>;

export const JobKind = z.enum(['rotate-kek', 'rotate-root', 'migrate-token']);
/** `failed`: it ended and left something; resumed, it goes through everything once more. */
export const JobState = z.enum(['running', 'paused', 'done', 'failed']);
export type JobState = z.infer<typeof JobState>;
/**
 * `checking`: whether all keys can be used in the other token; nothing is changed before. `preparing`: the new wrapping key is made, the old one retired. `rewrapping`: what the index finds under the old one. `verifying`: every signed
 * document is read, from when nobody can be using the old one any more. `destroying`: the old KEK is emptied, and ends.
 */
export const JobPhase = z.enum(['checking', 'preparing', 'rewrapping', 'verifying', 'destroying']);
export type JobPhase = z.infer<typeof JobPhase>;

/** What could not be done to one thing of the job. */
export const JobFailure = z.strictObject({ id: z.string(), code: ErrorCodeSchema, detail: z.string() });
export type JobFailure = z.infer<typeof JobFailure>;

/** A job that rewraps keys (of a KEK) or KEKs (of a root), and how far it is. */
export const JobDescription = z.strictObject({
  jobId: JobId,
  kind: JobKind,
  /** Of `rotate-kek`. */
  environment: Environment.optional(),
  classification: Classification.optional(),
  /** Of `migrate-token`: the token that the new root is in. */
  token: TokenLabel.optional(),
  /** The new KEK or root, and those that it takes the place of. */
  to: z.string(),
  from: z.array(z.string()),
  state: JobState,
  phase: JobPhase,
  /** Keys or KEKs: as many as were found at the beginning, those done since then, those that could not be done in this pass. */
  total: z.int().min(0),
  done: z.int().min(0),
  failed: z.int().min(0),
  /** The first of those. */
  failures: z.array(JobFailure),
  /** Of `migrate-token`: keys with material that stays as objects in the token which is left. */
  stays: z.int().min(0).optional(),
  /** Documents that the pass of this phase has read. */
  read: z.int().min(0),
  /** Done per second, in the time since it began to rewrap; absent before. */
  perSecond: z.number().min(0).optional(),
  reason: z.string(),
  startedBy: PrincipalId,
  startedAt: Timestamp,
  finishedAt: Timestamp.optional(),
  /** Before then nothing more happens. */
  waitsUntil: Timestamp.optional(),
  /** Why it stands still, or why it failed. */
  trouble: z.strictObject({ code: ErrorCodeSchema, detail: z.string(), at: Timestamp }).optional(),
});
export type JobDescription = z.infer<typeof JobDescription>;

/** A root key of the token: its record, never its material. */
export const RootDescription = z.strictObject({
  label: RootLabel,
  /** The token that it is in; the workers' first one when left out. */
  token: TokenLabel.optional(),
  state: WrappingKeyState,
  /** KEKs that are wrapped under it. */
  keks: z.int().min(0),
  createdAt: Timestamp.optional(),
  retiredAt: Timestamp.optional(),
  destroyedAt: Timestamp.optional(),
});
export type RootDescription = z.infer<typeof RootDescription>;

const job = { jobId: JobId, reason };

/** Rotation of what wraps keys: of KEKs and of the token's root. Each is a job, which goes on by itself, whoever restarts. */
export const rewrapOperations = {
  rotateKek: defineOperation({
    name: 'keys.rotate-kek',
    action: 'keys:RotateKek',
    summary:
      'A new key-encryption key for an environment and classification; every key is rewrapped under it inside the HSM, and the old one is destroyed once nothing is under it. Asked for while that goes on, it is the same job.',
    retry: 'safe',
    input: { environment: Environment, classification: Classification, reason },
    result: JobDescription,
  }),
  rotateRoot: defineOperation({
    name: 'keys.rotate-root',
    action: 'keys:RotateRoot',
    summary:
      'A new root in the token; every key-encryption key is rewrapped under it. The old root stays until it is destroyed in so many words.',
    retry: 'safe',
    input: { reason },
    result: JobDescription,
  }),
  destroyRoot: defineOperation({
    name: 'keys.destroy-root',
    action: 'keys:DestroyRoot',
    summary: 'Destroy a root that was rotated, in the token; refused while a key-encryption key is under it.',
    retry: 'safe',
    input: { label: RootLabel, reason },
    result: RootDescription,
  }),
  listRoots: defineOperation({
    name: 'keys.list-roots',
    action: 'keys:ListKeks',
    summary: 'The roots of the token that key-encryption keys are wrapped under, the oldest first.',
    retry: 'safe',
    input: {},
    result: z.strictObject({ roots: z.array(RootDescription) }),
  }),
  listJobs: defineOperation({
    name: 'keys.list-jobs',
    action: 'keys:ReadJobs',
    summary: 'Jobs that rewrap keys, the newest first.',
    retry: 'safe',
    input: { state: JobState.optional(), limit: z.int().min(1).max(limits.listPage).default(100) },
    result: z.strictObject({ jobs: z.array(JobDescription) }),
  }),
  describeJob: defineOperation({
    name: 'keys.describe-job',
    action: 'keys:ReadJobs',
    summary: 'How far a job is.',
    retry: 'safe',
    input: { jobId: JobId },
    result: JobDescription,
  }),
  pauseJob: defineOperation({
    name: 'keys.pause-job',
    action: 'keys:PauseJob',
    summary: 'Stop a job where it is; what it has done stands.',
    retry: 'safe',
    input: job,
    result: JobDescription,
  }),
  resumeJob: defineOperation({
    name: 'keys.resume-job',
    action: 'keys:ResumeJob',
    summary: 'Let a job that was paused, or failed, go on.',
    retry: 'safe',
    input: job,
    result: JobDescription,
  }),
} as const;
