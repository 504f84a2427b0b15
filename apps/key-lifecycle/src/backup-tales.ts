import { type CloudEvent, cloudEvent, eventSubject } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import type { BackupRecord, EpochRecord, RestoreRecord } from './backup-records';
import type { BackupStore } from './backup-store';

const source = 'claviger/key-lifecycle';
type Tale = 'made' | 'failed' | 'verified' | 'damaged';

/** What became of a backup, for the ledger and as an event. It is told at least once, under one id: what a crash left untold, the next sweep tells. */
export class BackupTales {
  constructor(
    private readonly connection: NatsConnection,
    private readonly trail: Pick<AuditTrail, 'append'>,
    private readonly store: Pick<BackupStore, 'changeBackup'>,
    private readonly logger: LoggerService,
  ) {}

  /** Does nothing where there is nothing new to tell. Never throws: it is told later. */
  async tell(record: BackupRecord, by: Pick<BackupRecord, 'by' | 'session'> = record): Promise<void> {
    const tales = talesOf(record);
    const told = tales.at(-1)?.name;
    if (told === undefined || record.told === told) return;
    const before = tales.findIndex(({ name }) => name === record.told);
    try {
      for (const { name, tale, at } of tales.slice(before + 1)) await this.one(record, name, tale, at, by);
      await this.store.changeBackup(record.backupId, (now) => ({ ...now, told }));
    } catch (error) {
      this.logger.warn(`what became of backup ${record.backupId} is told later: ${String(error)}`);
    }
  }

  /** That nothing of an epoch can be read any more. @throws ProblemError ERR_AUDIT_UNAVAILABLE: then it must not happen */
  async endOfEpoch({ epoch }: EpochRecord): Promise<void> {
    await this.trail.append(
      { kind: 'backup', event: 'epoch-destroyed', epoch, by: 'key-lifecycle', session: 'schedule' },
      `${epoch}.destroyed`,
    );
  }

  /** Under one id for each end of a restore. @throws ProblemError ERR_AUDIT_UNAVAILABLE */
  async restored(record: RestoreRecord): Promise<void> {
    const { backupId, by, session, proof, progress, restored, failure } = record;
    await this.trail.append(
      {
        ...{ kind: 'backup', event: record.state === 'complete' ? 'restored' : 'restore-failed', backupId, by, session },
        ...{ keys: progress.keys, ...(proof ? { proven: proof.proven, failures: proof.failures } : {}) },
        ...(restored ? { detail: `${restored.usable} usable, ${restored.suspended} suspended, ${restored.destroyed} destroyed` } : {}),
        ...(failure ? { detail: failure.detail } : {}),
      },
      `${backupId}.restore.${record.finishedAt ?? record.startedAt}`,
    );
  }

  private async one(
    record: BackupRecord,
    name: string,
    tale: Tale,
    at: string,
    { by, session }: Pick<BackupRecord, 'by' | 'session'>,
  ): Promise<void> {
    const { backupId, epoch, manifestDigest, counts, verified, failure } = record;
    const id = `${backupId}.${name}`;
    const isLook = tale === 'verified' || tale === 'damaged';
    const detail = failure && (tale === 'failed' || tale === 'damaged') ? { detail: failure.detail } : {};
    const found = isLook && verified ? { keys: verified.keys, proven: verified.proven, failures: verified.failures } : {};
    const made = isLook || !counts ? {} : { keys: counts.keys, proven: counts.proven };
    const digest = manifestDigest === undefined ? {} : { manifestDigest };
    await this.trail.append({ kind: 'backup', event: tale, backupId, epoch, by, session, ...digest, ...made, ...found, ...detail }, id);
    const event = eventOf(tale, id, at, { backupId, epoch, by, ...digest, ...made, ...found, ...detail });
    await jetstream(this.connection).publish(eventSubject(event.type, backupId), JSON.stringify(event), { msgID: event.id });
  }
}

/** In order: how it was made, and what the last look at it found. */
function talesOf({ state, createdAt, finishedAt = createdAt, verified, file }: BackupRecord): { name: string; tale: Tale; at: string }[] {
  if (state === 'running') return [];
  if (file === undefined) return [{ name: 'failed', tale: 'failed', at: finishedAt }];
  const made = { name: 'made', tale: 'made' as const, at: finishedAt };
  if (!verified) return [made];
  return [made, { name: `verified.${Date.parse(verified.at)}`, tale: verified.ok ? 'verified' : 'damaged', at: verified.at }];
}

function eventOf(tale: Tale, id: string, time: string, data: Record<string, unknown>): CloudEvent {
  return cloudEvent(`io.claviger.backup.${tale}`, { id, source, time, subject: String(data.backupId), data: data as never });
}
