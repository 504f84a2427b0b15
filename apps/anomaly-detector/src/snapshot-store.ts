import { randomUUID } from 'node:crypto';
import { givenUpAfter } from '@claviger/operability';
import { type Collection, type Db, MongoServerError } from 'mongodb';
import { decodeState, encodeState, type Snapshot } from './snapshot';

/** Raised whenever the meaning of a stored state changes: an older one is then rebuilt from the stream. */
const format = 'claviger.detection/1';

interface PartDocument {
  _id: string;
  snapshotId: string;
  writtenAt: Date;
  text: string;
}

/** Names the snapshot that counts. It changes by one compare-and-set on `version`, after all parts of the new one are stored. */
interface HeadDocument {
  _id: 'head';
  version: number;
  format: string;
  snapshotId: string;
  parts: number;
  sha256: string;
  auditSeq: number;
  ledgerSeq: number;
  takenAt: Date;
}

export type Loaded = { kind: 'none' } | { kind: 'unusable'; reason: string } | { kind: 'snapshot'; snapshot: Snapshot; takenAt: Date };

/** Parts that no head names are left by a writer that died; one still at work is done by then. */
const orphanAfterMs = 600_000;
const duplicateKey = 11_000;

/** Snapshots in the document store. Throws the driver's errors: whoever asks tries again later, and never takes "no answer" for "no snapshot". */
export class SnapshotStore {
  private readonly head: Collection<HeadDocument>;
  private readonly parts: Collection<PartDocument>;
  /** Version of the head that we know, and the snapshot that it names. */
  private version = 0;
  private previous: string | undefined;

  constructor(db: Db) {
    this.head = db.collection('head');
    this.parts = db.collection('snapshots');
  }

  async prepare(): Promise<void> {
    await this.parts.createIndex({ snapshotId: 1 });
  }

  async load(): Promise<Loaded> {
    for (;;) {
      const head = await this.head.findOne({ _id: 'head' });
      if (!head) return { kind: 'none' };
      const unread = this.version !== head.version;
      this.version = head.version;
      this.previous = head.snapshotId;
      if (head.format !== format) return { kind: 'unusable', reason: `it has the format ${head.format}` };
      const ids = partIds(head.snapshotId, head.parts);
      const parts = await this.parts.find({ _id: { $in: ids } }).toArray();
      const texts = new Map(parts.map(({ _id, text }) => [_id, text]));
      const state = decodeState(
        ids.map((id) => texts.get(id) ?? ''),
        head.sha256,
      );
      const { auditSeq, ledgerSeq, takenAt } = head;
      if (state) return { kind: 'snapshot', snapshot: { auditSeq, ledgerSeq, state }, takenAt };
      // A newer one may have taken its place while it was read.
      if (!unread) return { kind: 'unusable', reason: 'its parts are not what was written' };
    }
  }

  /** False: another process has written one meanwhile, which counts. */
  async save({ state, auditSeq, ledgerSeq }: Snapshot, now: Date): Promise<boolean> {
    const { parts, sha256 } = encodeState(state);
    const snapshotId = randomUUID();
    const ids = partIds(snapshotId, parts.length);
    // One by one: a message to the store is bounded too.
    for (const [n, text] of parts.entries())
      await givenUpAfter(this.parts.insertOne({ _id: ids[n] as string, snapshotId, writtenAt: now, text }));
    const head = { format, snapshotId, parts: parts.length, sha256, auditSeq, ledgerSeq, takenAt: now };
    if (!(await this.swap(head))) {
      await this.parts.deleteMany({ snapshotId });
      const theirs = await this.head.findOne({ _id: 'head' });
      this.version = theirs?.version ?? 0;
      this.previous = theirs?.snapshotId;
      return false;
    }
    await this.parts.deleteMany({ snapshotId: { $ne: snapshotId }, writtenAt: { $lt: new Date(now.getTime() - orphanAfterMs) } });
    if (this.previous) await this.parts.deleteMany({ snapshotId: this.previous });
    this.previous = snapshotId;
    return true;
  }

  private async swap(head: Omit<HeadDocument, '_id' | 'version'>): Promise<boolean> {
    const next = this.version + 1;
    if (this.version === 0) {
      try {
        await this.head.insertOne({ _id: 'head', version: next, ...head });
      } catch (error) {
        if (error instanceof MongoServerError && error.code === duplicateKey) return false;
        throw error;
      }
    } else {
      const { modifiedCount } = await this.head.updateOne({ _id: 'head', version: this.version }, { $set: { ...head, version: next } });
      if (modifiedCount === 0) return false;
    }
    this.version = next;
    return true;
  }
}

const partIds = (snapshotId: string, parts: number) => Array.from({ length: parts }, (_, n) => `${snapshotId}.${n}`);
