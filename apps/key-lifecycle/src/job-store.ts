import { type JobState, ProblemError } from '@claviger/contracts';
import type { OwedPage, OwedRecord, OwedRecordSource } from '@claviger/service';
import { type Collection, type Db, MongoServerError } from 'mongodb';
import { reached } from './key-store';
import type { RewrapJob } from './rewrap-job';
import { type SignedDocuments, TamperedDocument } from './signed-documents';

interface JobDocument {
  _id: string;
  /** Not signed: hints where to look. */
  state: JobState;
  startedAt: string;
  signed: string;
  /** Who has it in hand, and until when nobody else takes it. */
  claimedBy: string | null;
  claimedUntil: string | null;
  owed: OwedRecord[];
}

/** A job in the hands of one replica. */
export interface ClaimedJob {
  job: RewrapJob;
  signed: string;
  holder: string;
}

/** Jobs, one signed document each, changed by one compare-and-set on what is signed: of two replicas that have the same job in hand one goes on. */
export class JobStore implements OwedRecordSource {
  private readonly jobs: Collection<JobDocument>;

  constructor(
    db: Db,
    private readonly documents: SignedDocuments,
    private readonly onTampered: (id: string, reason: string) => void,
  ) {
    this.jobs = db.collection('jobs');
  }

  /** The job of that name: the given one, or that of whoever was first. */
  async insert(job: RewrapJob, owed: OwedRecord[]): Promise<{ job: RewrapJob; isNew: boolean }> {
    try {
      const { jobId, state, startedAt } = job;
      const unclaimed = { claimedBy: null, claimedUntil: null };
      await reached(() => this.jobs.insertOne({ _id: jobId, state, startedAt, signed: this.documents.signJob(job), ...unclaimed, owed }));
      return { job, isNew: true };
    } catch (error) {
      if (!(error instanceof MongoServerError && error.code === 11000)) throw error;
      return { job: await this.get(job.jobId), isNew: false };
    }
  }

  /** Throws ERR_NOT_FOUND, TamperedDocument. */
  async get(jobId: string): Promise<RewrapJob> {
    const found = await reached(() => this.jobs.findOne({ _id: jobId }));
    if (!found) throw new ProblemError('ERR_NOT_FOUND', `There is no job ${jobId}.`);
    return this.read(found);
  }

  /** The newest first. Those that were tampered with are passed over. */
  async list(limit: number, state?: JobState): Promise<RewrapJob[]> {
    const found = await reached(() =>
      this.jobs
        .find(state ? { state } : {})
        .sort({ startedAt: -1 })
        .limit(limit)
        .toArray(),
    );
    return found.flatMap((document) => {
      try {
        return [this.read(document)];
      } catch (error) {
        if (error instanceof TamperedDocument) return [];
        throw error;
      }
    });
  }

  /** Decides on the job as it is now, and again when somebody else was first. Whoever has it in hand finds out when it saves. */
  async change(jobId: string, decide: (job: RewrapJob) => RewrapJob, owe: (job: RewrapJob) => OwedRecord): Promise<RewrapJob> {
    for (;;) {
      const found = await reached(() => this.jobs.findOne({ _id: jobId }));
      if (!found) throw new ProblemError('ERR_NOT_FOUND', `There is no job ${jobId}.`);
      const from = this.read(found);
      const to = decide(from);
      const set = { state: to.state, signed: this.documents.signJob(to), claimedBy: null, claimedUntil: null };
      const { matchedCount } = await reached(() =>
        this.jobs.updateOne({ _id: jobId, signed: found.signed }, { $set: set, $push: { owed: owe(to) } }),
      );
      if (matchedCount === 1) return to;
    }
  }

  /** A job that runs and that nobody has in hand, for one replica alone until then. */
  async claim(holder: string, now: string, until: string): Promise<ClaimedJob | undefined> {
    const free = { state: 'running' as const, $or: [{ claimedUntil: null }, { claimedUntil: { $lte: now } }] };
    const found = await reached(() =>
      this.jobs.findOneAndUpdate(free, { $set: { claimedBy: holder, claimedUntil: until } }, { returnDocument: 'after' }),
    );
    if (!found) return undefined;
    const job = this.read(found);
    return job.state === 'running' ? { job, signed: found.signed, holder } : undefined;
  }

  /** How far it is, and the claim renewed; undefined when it is another's by now, or was paused. */
  async save({ signed, holder, job: { jobId } }: ClaimedJob, to: RewrapJob, until: string | null): Promise<ClaimedJob | undefined> {
    const next = this.documents.signJob(to);
    const set = { state: to.state, signed: next, claimedUntil: until };
    const { matchedCount } = await reached(() => this.jobs.updateOne({ _id: jobId, signed, claimedBy: holder }, { $set: set }));
    return matchedCount === 1 ? { job: to, signed: next, holder } : undefined;
  }

  /** Nobody has it in hand from then on; null: at once. */
  async release({ signed, holder, job: { jobId } }: ClaimedJob, until: string | null): Promise<void> {
    await reached(() => this.jobs.updateOne({ _id: jobId, signed, claimedBy: holder }, { $set: { claimedUntil: until } }));
  }

  async owed(limit: number, after = ''): Promise<OwedPage> {
    const found = await reached(() =>
      this.jobs
        .find({ _id: { $gt: after }, 'owed.0': { $exists: true } })
        .sort({ _id: 1 })
        .limit(limit)
        .toArray(),
    );
    const next = found.length === limit ? found.at(-1)?._id : undefined;
    return { items: found.map(({ _id, owed }) => ({ aggregateId: _id, entries: owed })), next };
  }

  async removeOwed(jobId: string, ids: string[]): Promise<void> {
    await reached(() => this.jobs.updateOne({ _id: jobId }, { $pull: { owed: { id: { $in: ids } } } }));
  }

  private read({ _id, signed }: JobDocument): RewrapJob {
    try {
      return this.documents.readJob(_id, signed);
    } catch (error) {
      if (error instanceof TamperedDocument) this.onTampered(_id, String(error.cause));
      throw error;
    }
  }
}
