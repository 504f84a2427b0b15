import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BackupFile } from '@claviger/backup';
import { type Escrow, escrowType, ProblemError, type Trust } from '@claviger/contracts';
import { type RecordSigner, signRecord } from '@claviger/messaging';
import type { BackupHsm } from './backup-hsm';
import { currentEpoch, type EpochRecord, idAt, newEpoch, type Retention } from './backup-records';
import type { BackupStore } from './backup-store';
import { type MoveEpochKey, moveEpochs } from './epoch-moves';
import type { Roots } from './roots';

export interface BackupEpochsParts {
  hsm: Pick<BackupHsm, 'generateEpochKey' | 'moveEpochKey'>;
  store: Pick<BackupStore, 'allEpochs' | 'putEpoch' | 'changeEpoch'>;
  roots: Pick<Roots, 'all' | 'current'>;
  signer: RecordSigner;
  trust: Trust;
  /** Of escrows: apart from that of backups. */
  folder: string;
  retention: Retention;
  /** Which recovery group; left out where trust.json has one. */
  group: string | undefined;
}

/**
 * Keys of epochs of backups: one for so many days, under the token root while they last, and escrowed to the recovery group. With both gone, every copy of
 * the epoch's backups is unreadable, wherever it lies.
 */
export class BackupEpochs {
  constructor(private readonly parts: BackupEpochsParts) {}

  /** The epoch of a backup that is begun now. Only who has `making` in hand asks. @throws ProblemError ERR_BACKUP_REFUSED (no recovery group) */
  async current(nowMs: number): Promise<EpochRecord> {
    const { store, hsm, retention } = this.parts;
    const group = this.group();
    const known = currentEpoch(await store.allEpochs(), group, nowMs);
    if (known) return known;
    const { epochKey, escrow } = await hsm.generateEpochKey(group, await this.parts.roots.current());
    const epoch = idAt('e', nowMs, randomInt);
    const escrowFile = `${epoch}.escrow`;
    const record = newEpoch({ epoch, group, epochKey, escrowFile }, retention, nowMs);
    // On the disk first: a backup whose key nobody could recover would be none.
    await this.writeEscrow(escrowFile, {
      epoch,
      group,
      site: this.parts.trust.ledger.origin,
      createdAt: record.createdAt,
      wrapped: escrow,
    });
    await store.putEpoch(record);
    return record;
  }

  /** Keys of epochs go with the KEKs when the root is rotated. Throws ERR_KEY_UNREADABLE: the first of those that do not open; the others are moved all the same. */
  async followRoot(): Promise<void> {
    const { store, hsm, roots } = this.parts;
    const move: MoveEpochKey = (epochKey, to) => hsm.moveEpochKey(epochKey, to);
    const [failure] = await moveEpochs({ epochs: store, roots: await roots.all(), move }, () => true);
    if (failure) throw new ProblemError(failure.code, `The key of epoch ${failure.id} of backups stays under its root: ${failure.detail}`);
  }

  /** @throws ProblemError ERR_BACKUP_REFUSED */
  group(): string {
    const { group, trust } = this.parts;
    const known = Object.keys(trust.recovery ?? {});
    if (group !== undefined && known.includes(group)) return group;
    const [only, another] = known;
    if (group === undefined && only !== undefined && another === undefined) return only;
    const why = group === undefined ? (only === undefined ? 'none' : 'several: say which one by BACKUP_RECOVERY_GROUP') : `no ${group}`;
    throw new ProblemError('ERR_BACKUP_REFUSED', `Backups are encrypted to a recovery group, and trust.json names ${why}.`);
  }

  /** The end of an epoch's retention: the escrow first, since the store remembers what is still to be done. Repeat it when it fails. */
  async destroy({ epochKey: _, ...epoch }: EpochRecord, nowMs: number): Promise<EpochRecord> {
    await rm(join(this.parts.folder, epoch.escrowFile), { force: true });
    const destroyed = { ...epoch, destroyedAt: new Date(nowMs).toISOString() };
    await this.parts.store.putEpoch(destroyed);
    return destroyed;
  }

  private async writeEscrow(name: string, escrow: Escrow): Promise<void> {
    const file = await BackupFile.create(this.parts.folder, name);
    try {
      await file.write(signRecord(escrowType, escrow, this.parts.signer));
      await file.finish();
    } catch (error) {
      await file.abandon();
      throw error;
    }
  }
}
