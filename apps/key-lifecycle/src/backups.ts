import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BackupDamaged } from '@claviger/backup';
import { type BackupDescription, ProblemError } from '@claviger/contracts';
import type { LoggerService } from '@nestjs/common';
import type { BackupEpochs } from './backup-epochs';
import type { BackupHsm } from './backup-hsm';
import type { BackupMaker } from './backup-maker';
import { proveBackup } from './backup-proof';
import { BackupReader } from './backup-reader';
import { type BackupRecord, describeBackup, idAt, isBackupDue, isOver, isVerificationDue, listedBackup } from './backup-records';
import type { BackupStore } from './backup-store';
import type { BackupTales } from './backup-tales';
import { type SignedDocuments, TamperedDocument } from './signed-documents';
import type { WorkInHand } from './work-in-hand';

export interface BackupsParts {
  store: BackupStore;
  epochs: BackupEpochs;
  maker: Pick<BackupMaker, 'make'>;
  hsm: BackupHsm;
  documents: SignedDocuments;
  trusted: ConstructorParameters<typeof SignedDocuments>[1];
  tales: BackupTales;
  work: WorkInHand;
  folder: string;
  /** Hours between two backups, and between two looks at the newest; 0: never by itself. */
  everyHours: number;
  verifyHours: number;
  logger: LoggerService;
  nowMs?: () => number;
}
type By = Pick<BackupRecord, 'by' | 'session'>;

const schedule: By = { by: 'key-lifecycle', session: 'schedule' };
const looked = 20;
const progressEveryKeys = 500;

/** Backups of this site: made and verified on demand and on schedule, listed, and made unreadable at the end of their retention. */
export class Backups {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;
  private stopped = false;
  private readonly nowMs: () => number;

  constructor(private readonly parts: BackupsParts) {
    this.nowMs = parts.nowMs ?? Date.now;
  }

  start(everyMs: number): void {
    this.timer = setInterval(() => void this.sweep(), everyMs);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.sweeping;
  }

  /** Begins one; who has it in hand goes on with it. @throws ProblemError ERR_CONFLICT (one is being made), ERR_BACKUP_REFUSED */
  async create(by: By): Promise<BackupRecord> {
    const begun = await this.beginMaking(by);
    if (!begun) throw new ProblemError('ERR_CONFLICT', 'A backup is being made now: see claviger backup list.');
    return begun;
  }

  /** Begins to verify it. @throws ProblemError ERR_NOT_FOUND, ERR_BACKUP_REFUSED, ERR_CONFLICT */
  async verify(backupId: string, by: By): Promise<BackupRecord> {
    const record = await this.known(backupId);
    if (record.state !== 'complete')
      throw new ProblemError('ERR_BACKUP_REFUSED', `Backup ${backupId} is ${record.state}: only a complete one is verified.`);
    if (!(await this.beginVerifying(record, by))) throw new ProblemError('ERR_CONFLICT', 'A backup is being verified now.');
    return record;
  }

  async list(limit: number): Promise<BackupDescription[]> {
    const epochs = new Map((await this.parts.store.allEpochs()).map((epoch) => [epoch.epoch, epoch]));
    return (await this.parts.store.list(limit)).map((record) => listedBackup(describeBackup(record, epochs.get(record.epoch))));
  }

  async describe(backupId: string): Promise<BackupDescription> {
    const record = await this.known(backupId);
    return describeBackup(
      record,
      (await this.parts.store.allEpochs()).find(({ epoch }) => epoch === record.epoch),
    );
  }

  sweep(): Promise<void> {
    this.sweeping ??= this.sweepOnce()
      .catch((error) => this.parts.logger.warn(`sweep of backups: ${String(error)}`))
      .finally(() => (this.sweeping = undefined));
    return this.sweeping;
  }

  private async sweepOnce(): Promise<void> {
    const { store, tales, everyHours, verifyHours } = this.parts;
    const records = await store.list(looked);
    for (const record of records) if (record.state !== 'running') await tales.tell(record);
    await this.buryAbandoned(records);
    await this.forgetAbandonedLooks(records);
    await this.endRetention();
    // What holds it up must hold up no backup.
    await this.parts.epochs.followRoot().catch((error) => this.parts.logger.warn(`keys of epochs of backups: ${String(error)}`));
    if (this.stopped) return;
    if (everyHours > 0 && isBackupDue(records, everyHours, this.nowMs())) {
      await this.beginMaking(schedule);
      return;
    }
    const newest = records.find(({ state }) => state === 'complete');
    if (newest && verifyHours > 0 && isVerificationDue(newest, verifyHours, this.nowMs())) await this.beginVerifying(newest, schedule);
  }

  private async beginMaking(by: By): Promise<BackupRecord | undefined> {
    const { work, epochs, store } = this.parts;
    const begin = async () => {
      const nowMs = this.nowMs();
      // Asked again with the claim held: another replica may have made one since.
      if (by === schedule && !isBackupDue(await store.list(looked), this.parts.everyHours, nowMs)) return undefined;
      const epoch = await epochs.current(nowMs);
      const record: BackupRecord = {
        ...{ backupId: idAt('b', nowMs, randomInt), state: 'running', epoch: epoch.epoch, createdAt: new Date(nowMs).toISOString(), ...by },
        progress: { what: 'making', keys: 0 },
      };
      await store.insertBackup(record);
      return { record, epoch };
    };
    const begun = await work.begin('making', begin, async (made) => {
      if (made) await this.make(made.record, made.epoch);
    });
    return begun?.begun?.record;
  }

  private async make({ backupId }: BackupRecord, epoch: Awaited<ReturnType<BackupEpochs['current']>>): Promise<void> {
    const { store, maker, tales, logger } = this.parts;
    const progress = async (keys: number) => {
      if (this.stopped) throw stopped();
      if (keys % progressEveryKeys === 0) await this.change(backupId, { progress: { what: 'making', keys } });
    };
    let end: Partial<BackupRecord>;
    try {
      const { manifest, ...file } = await maker.make(backupId, epoch, progress);
      const { counts, keysInToken, tampered, checkpoint, uncovered, finishedAt } = manifest;
      end = { ...file, state: 'complete', finishedAt, counts, keysInToken, tampered, uncovered, ledgerSize: checkpoint?.size };
      logger.log(`backup ${backupId}: ${counts.keys} keys in ${file.file}, ${file.bytes} bytes`);
    } catch (error) {
      end = { state: 'failed', finishedAt: this.now(), failure: failureOf(error) };
      logger.error(`backup ${backupId} failed: ${String(error)}`);
    }
    const ended = await store.changeBackup(backupId, ({ progress: _, ...record }) => ({ ...record, ...end }));
    await tales.tell(ended);
    // What nobody has opened again is no backup yet.
    if (ended.state === 'complete' && !this.stopped) await this.beginVerifying(ended, ended);
  }

  private change(backupId: string, to: Partial<BackupRecord>): Promise<BackupRecord> {
    return this.parts.store.changeBackup(backupId, (record) => ({ ...record, ...to }));
  }

  private async beginVerifying({ backupId }: BackupRecord, { by, session }: By): Promise<boolean> {
    const begin = () => this.change(backupId, { progress: { what: 'verifying', keys: 0 } });
    const begun = await this.parts.work.begin('verifying', begin, (record) => this.prove(record, { by, session }));
    return begun !== undefined;
  }

  private async prove(record: BackupRecord, by: By): Promise<void> {
    const { store, hsm, tales, folder, documents, trusted, logger } = this.parts;
    const startedMs = this.nowMs();
    const at = this.now();
    const { backupId, epoch } = record;
    try {
      const epochKey = (await store.allEpochs()).find((one) => one.epoch === epoch)?.epochKey;
      if (!epochKey) throw new ProblemError('ERR_BACKUP_REFUSED', `The key of epoch ${epoch} is destroyed.`);
      const { failure, ...proof } = await this.provenOrDamaged(record, async () => {
        const reader = await BackupReader.open({ folder, file: record.file ?? '' }, { documents, trusted }, hsm, epochKey);
        if (reader.whole.digest !== record.manifestDigest) throw new BackupDamaged('it is another backup than the one that was made');
        return proveBackup(reader, epochKey, hsm, async (keys) => {
          if (this.stopped) throw stopped();
          await this.change(backupId, { progress: { what: 'verifying', keys } });
        });
      });
      const verified = { ...proof, at, tookMs: this.nowMs() - startedMs };
      const ended = await store.changeBackup(backupId, ({ progress: _, failure: __, ...now }) => ({
        ...now,
        verified,
        ...(failure ? { failure } : {}),
      }));
      await tales.tell(ended, by);
      if (verified.ok) logger.log(`backup ${backupId}: verified, ${verified.proven} versions of ${verified.keys} keys proven`);
      else logger.error(`backup ${backupId} is NOT in order: ${failure?.detail ?? `${verified.failures} versions are not proven`}`);
    } catch (error) {
      // It says nothing about the backup: another sweep looks again.
      await store.changeBackup(backupId, ({ progress: _, ...now }) => now);
      logger.warn(`backup ${backupId} could not be verified: ${String(error)}`);
    }
  }

  private async provenOrDamaged(
    record: BackupRecord,
    prove: () => ReturnType<typeof proveBackup>,
  ): Promise<Awaited<ReturnType<typeof proveBackup>> & Pick<BackupRecord, 'failure'>> {
    try {
      return await prove();
    } catch (error) {
      const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!(error instanceof BackupDamaged) && !(error instanceof TamperedDocument) && !isGone) throw error;
      const detail = isGone ? `${record.file} is not in the folder of backups` : String((error as Error).message);
      return { ok: false, keys: 0, proven: 0, failed: [], failures: 0, failure: { code: 'ERR_BACKUP_DAMAGED', detail } };
    }
  }

  /** What a process that died had begun. */
  private async buryAbandoned(records: readonly BackupRecord[]): Promise<void> {
    const { store, tales } = this.parts;
    const running = records.filter(({ state }) => state === 'running');
    if (running.length === 0 || (await store.isClaimed('making', this.nowMs()))) return;
    const failure = { code: 'ERR_INTERNAL', detail: 'the process that made it ended' };
    for (const { backupId } of running) {
      const buried = await store.changeBackup(backupId, (now) => {
        const { progress: _, ...record } = now;
        // It may have ended since the list was read.
        return now.state === 'running' ? { ...record, state: 'failed', finishedAt: this.now(), failure } : now;
      });
      await tales.tell(buried);
      await rm(join(this.parts.folder, `${backupId}.backup.partial`), { force: true });
    }
  }

  /** A verification whose process died goes on nowhere: whoever waits for it sees that it is over. With the claim held, so that it is none that has just begun. */
  private async forgetAbandonedLooks(records: readonly BackupRecord[]): Promise<void> {
    const { store, work } = this.parts;
    const abandoned = records.filter(({ state, progress }) => state === 'complete' && progress?.what === 'verifying');
    if (abandoned.length === 0 || (await store.isClaimed('verifying', this.nowMs()))) return;
    const forget = async () => {
      for (const { backupId } of abandoned) await store.changeBackup(backupId, ({ progress: _, ...record }) => record);
    };
    await work.begin('verifying', forget, async () => undefined);
  }

  private async endRetention(): Promise<void> {
    const { store, epochs, tales, folder, logger } = this.parts;
    for (const epoch of await store.allEpochs()) {
      if (!isOver(epoch, this.nowMs())) continue;
      // Recorded before it happens: nothing undoes it.
      await tales.endOfEpoch(epoch);
      await epochs.destroy(epoch, this.nowMs());
      for (const record of await store.list(10_000))
        if (record.epoch === epoch.epoch && record.state === 'complete') {
          await rm(join(folder, record.file ?? ''), { force: true });
          await this.change(record.backupId, { state: 'unreadable' });
        }
      logger.log(`epoch ${epoch.epoch} of backups is over: its key and its escrow are destroyed`);
    }
  }

  private async known(backupId: string): Promise<BackupRecord> {
    const record = await this.parts.store.backup(backupId);
    if (!record) throw new ProblemError('ERR_NOT_FOUND', `There is no backup ${backupId}.`);
    return record;
  }

  private now(): string {
    return new Date(this.nowMs()).toISOString();
  }
}

const stopped = () => new ProblemError('ERR_SHUTTING_DOWN', 'The process that did it was stopped.');

export function failureOf(error: unknown): { code: string; detail: string } {
  if (error instanceof ProblemError) return { code: error.code, detail: error.message };
  if (error instanceof BackupDamaged || error instanceof TamperedDocument) return { code: 'ERR_BACKUP_DAMAGED', detail: error.message };
  return { code: 'ERR_INTERNAL', detail: 'see the log of key-lifecycle' };
}
