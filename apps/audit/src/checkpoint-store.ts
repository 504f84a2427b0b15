import type { Collection, Db } from 'mongodb';
import { isDuplicate } from './ledger-store';

/** A signed checkpoint with what it stands for. `root`: base64url. */
export interface StoredCheckpoint {
  readonly size: number;
  readonly note: string;
  readonly root: string;
  readonly streamSeq: number;
  readonly findings: number;
}
type CheckpointDocument = Omit<StoredCheckpoint, 'size'> & { readonly _id: number; readonly signedAt: Date };

/** Checkpoints of the last 90 days; older ones lie in LEDGER for a year, and any can be signed again: Ed25519 gives the same bytes. */
const keptSeconds = 90 * 86_400;

export class CheckpointStore {
  private readonly checkpoints: Collection<CheckpointDocument>;

  constructor(db: Db) {
    this.checkpoints = db.collection('checkpoints');
  }

  async prepare(): Promise<void> {
    await this.checkpoints.createIndex({ signedAt: 1 }, { expireAfterSeconds: keptSeconds });
  }

  async add({ size, ...rest }: StoredCheckpoint, signedAt: Date): Promise<void> {
    await this.checkpoints.insertOne({ _id: size, ...rest, signedAt }).catch((error: unknown) => {
      if (!isDuplicate(error)) throw error;
    });
  }

  async newest(): Promise<StoredCheckpoint | undefined> {
    const [document] = await this.checkpoints.find().sort({ _id: -1 }).limit(1).toArray();
    if (!document) return undefined;
    const { _id: size, signedAt: _, ...rest } = document;
    return { size, ...rest };
  }
}
