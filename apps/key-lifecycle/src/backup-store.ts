import type { KeyObject } from 'node:crypto';
import { ProblemError } from '@claviger/contracts';
import { type RecordSigner, signRecord, verifyRecord } from '@claviger/messaging';
import { TamperedDocuments } from '@claviger/service';
import { type Collection, type Db, MongoServerError } from 'mongodb';
import { type BackupRecord, type EpochRecord, type KeyCanaries, type RestoreRecord, timeOf } from './backup-records';
import { reached } from './key-store';
import { TamperedDocument } from './signed-documents';

interface Document {
  _id: string;
  signed: string;
  state?: string;
}
interface Claim {
  _id: string;
  holder: string;
  until: string;
}

/** Names of what one replica at a time does. */
export type Work = 'making' | 'verifying' | 'restoring';

/**
 * What is known of backups, their epochs and the canaries of keys. All of it is signed: whoever writes to the store must not be able to have an epoch's key
 * destroyed early, or to pass a bad backup off as verified.
 */
export class BackupStore {
  private readonly backups: Collection<Document>;
  private readonly epochs: Collection<Document>;
  private readonly canaries: Collection<Document>;
  private readonly restores: Collection<Document>;
  private readonly claims: Collection<Claim>;

  private readonly tampered: TamperedDocuments;

  /** `onTampered` hears of what somebody else wrote. It counts as not there, so that it stops no backup. */
  constructor(
    db: Db,
    private readonly signer: RecordSigner,
    private readonly trusted: ReadonlyMap<string, KeyObject>,
    onTampered: (id: string, reason: string) => void,
  ) {
    this.tampered = new TamperedDocuments(onTampered);
    this.backups = db.collection('backups');
    this.epochs = db.collection('backup_epochs');
    this.canaries = db.collection('canaries');
    this.restores = db.collection('restores');
    this.claims = db.collection('backup_work');
  }

  /** Newest first. */
  async list(limit: number): Promise<BackupRecord[]> {
    const found = await reached(() => this.backups.find().sort({ _id: -1 }).limit(limit).toArray());
    return this.untampered<BackupRecord>('backup', found, ({ backupId }) => backupId);
  }

  async backup(backupId: string): Promise<BackupRecord | undefined> {
    const found = await reached(() => this.backups.findOne({ _id: backupId }));
    return found ? this.read<BackupRecord>('backup', found, (b) => b.backupId) : undefined;
  }

  async insertBackup(record: BackupRecord): Promise<void> {
    await reached(() => this.backups.insertOne({ _id: record.backupId, signed: this.sign('backup', record) }));
  }

  changeBackup(backupId: string, change: (record: BackupRecord) => BackupRecord): Promise<BackupRecord> {
    return this.change<BackupRecord>({ kind: 'backup', of: this.backups, idOf: (one) => one.backupId }, backupId, change);
  }

  async allEpochs(): Promise<EpochRecord[]> {
    const found = await reached(() => this.epochs.find().sort({ _id: -1 }).toArray());
    return this.untampered<EpochRecord>('epoch', found, ({ epoch }) => epoch);
  }

  changeEpoch(epoch: string, change: (record: EpochRecord) => EpochRecord): Promise<EpochRecord> {
    return this.change<EpochRecord>({ kind: 'epoch', of: this.epochs, idOf: (one) => one.epoch }, epoch, change);
  }

  /** As `allEpochs`, but throws TamperedDocument: whose key lies where is not known of one that cannot be read. */
  async epochsOrThrow(): Promise<EpochRecord[]> {
    const found = await reached(() => this.epochs.find().toArray());
    return found.map((document) => this.read<EpochRecord>('epoch', document, ({ epoch }) => epoch));
  }

  /**
   * Backups that were begun by then and can be read, or may be once they are made. Throws TamperedDocument where a list leaves out what somebody else wrote:
   * of that nothing is known.
   */
  async readable(untilMs: number): Promise<{ backup: BackupRecord; epoch: EpochRecord }[]> {
    const epochs = await this.epochsOrThrow();
    const byId = new Map(epochs.map((epoch) => [epoch.epoch, epoch]));
    const from = epochs.filter(isReadable).map(({ createdAt }) => Date.parse(createdAt));
    if (from.length === 0) return [];
    const begun = { $gte: timeOf('b', Math.min(...from)), $lt: timeOf('b', untilMs + 1) };
    const found = await reached(() => this.backups.find({ _id: begun }).toArray());
    return found
      .map((one) => this.read<BackupRecord>('backup', one, (b) => b.backupId))
      .filter(({ state }) => state === 'complete' || state === 'running')
      .flatMap((backup) => {
        const epoch = byId.get(backup.epoch);
        if (!epoch) throw new TamperedDocument(backup.backupId, `its epoch ${backup.epoch} is gone`);
        return isReadable(epoch) ? [{ backup, epoch }] : [];
      });
  }

  async putEpoch(record: EpochRecord): Promise<void> {
    await this.put(this.epochs, record.epoch, 'epoch', record);
  }

  /** Of those keys that have some. */
  async canariesOf(keyIds: readonly string[]): Promise<Map<string, KeyCanaries>> {
    const found = await reached(() => this.canaries.find({ _id: { $in: [...keyIds] } }).toArray());
    return new Map(this.untampered<KeyCanaries>('canaries', found, ({ keyId }) => keyId).map((one) => [one.keyId, one]));
  }

  async putCanaries(all: readonly KeyCanaries[]): Promise<void> {
    if (all.length === 0) return;
    const writes = all.map((one) => ({
      replaceOne: { filter: { _id: one.keyId }, replacement: { signed: this.sign('canaries', one) }, upsert: true },
    }));
    await reached(() => this.canaries.bulkWrite(writes, { ordered: false }));
  }

  /** The restore that this site came from, or comes from now. */
  async restore(): Promise<RestoreRecord | undefined> {
    const found = await reached(() => this.restores.findOne({ _id: 'restore' }));
    return found ? this.read<RestoreRecord>('restore', found, () => 'restore') : undefined;
  }

  async putRestore(record: RestoreRecord): Promise<void> {
    await this.put(this.restores, 'restore', 'restore', record);
  }

  /** True for the one process that has this work in hand until then; asked again by the same, it has it for longer. */
  async claim(work: Work, holder: string, nowMs: number, forMs: number): Promise<boolean> {
    const [now, until] = [nowMs, nowMs + forMs].map((ms) => new Date(ms).toISOString()) as [string, string];
    try {
      const { matchedCount, upsertedCount } = await reached(() =>
        this.claims.updateOne({ _id: work, $or: [{ until: { $lte: now } }, { holder }] }, { $set: { holder, until } }, { upsert: true }),
      );
      return matchedCount + upsertedCount === 1;
    } catch (error) {
      if (error instanceof MongoServerError && error.code === 11000) return false;
      throw error;
    }
  }

  async release(work: Work, holder: string): Promise<void> {
    await reached(() => this.claims.deleteOne({ _id: work, holder }));
  }

  /** Whether somebody has it in hand. */
  async isClaimed(work: Work, nowMs: number): Promise<boolean> {
    const found = await reached(() => this.claims.findOne({ _id: work }));
    return found !== null && found.until > new Date(nowMs).toISOString();
  }

  private async put(to: Collection<Document>, id: string, kind: Kind, record: object): Promise<void> {
    await reached(() => to.replaceOne({ _id: id }, { signed: this.sign(kind, record) }, { upsert: true }));
  }

  /** `change` gets it as it is now, again when somebody else was first; what it gives back unchanged is not written. */
  private async change<T extends BackupRecord | EpochRecord>(
    { kind, of, idOf }: { kind: 'backup' | 'epoch'; of: Collection<Document>; idOf: (record: T) => string },
    id: string,
    change: (record: T) => T,
  ): Promise<T> {
    for (;;) {
      const found = await reached(() => of.findOne({ _id: id }));
      if (!found)
        throw new ProblemError('ERR_NOT_FOUND', kind === 'backup' ? `There is no backup ${id}.` : `There is no epoch ${id} of backups.`);
      const from = this.read<T>(kind, found, idOf);
      const to = change(from);
      if (to === from) return from;
      const signed = this.sign(kind, to);
      const { matchedCount } = await reached(() => of.replaceOne({ _id: id, signed: found.signed }, { signed }));
      if (matchedCount === 1) return to;
    }
  }

  private sign(kind: Kind, record: object): string {
    return signRecord(types[kind], record, this.signer);
  }

  private untampered<T>(kind: Kind, documents: readonly Document[], idOf: (record: T) => string): T[] {
    return documents.flatMap((document) => {
      try {
        const record = this.read(kind, document, idOf);
        this.tampered.well(document._id);
        return [record];
      } catch (error) {
        if (!(error instanceof TamperedDocument)) throw error;
        this.tampered.found(document._id, `${kind}: ${String(error.cause)}`);
        return [];
      }
    });
  }

  /** Throws TamperedDocument. */
  private read<T>(kind: Kind, { _id, signed }: Document, idOf: (record: T) => string): T {
    try {
      const record = verifyRecord(types[kind], signed, this.trusted) as T;
      if (idOf(record) !== _id) throw new Error(`it is of ${idOf(record)}`);
      return record;
    } catch (error) {
      throw new TamperedDocument(_id, error);
    }
  }
}

const isReadable = ({ destroyedAt }: EpochRecord) => destroyedAt === undefined;

const types = {
  backup: 'claviger-backup+jws',
  epoch: 'claviger-backup-epoch+jws',
  canaries: 'claviger-canaries+jws',
  restore: 'claviger-restore+jws',
} as const;
type Kind = keyof typeof types;
