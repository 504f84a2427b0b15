import type { BackupDescription, Canary, KekMaterial, RestoreDescription } from '@claviger/contracts';

/** A backup as it is stored: what is told of it, and what is still to be told. */
export interface BackupRecord extends Omit<BackupDescription, 'readableUntil'> {
  /** Of the request that asked for it, or `schedule`. */
  session: string;
  /** What of it is in the ledger and in its event already; absent while there is nothing to tell. */
  told?: string;
}

/** A time of backups under one key. */
export interface EpochRecord {
  epoch: string;
  createdAt: string;
  /** No backup is begun under it from then on … */
  endsAt: string;
  /** … and from then on none of them can be read. */
  destroyAt: string;
  /** The recovery group that its key is escrowed to. */
  group: string;
  /** Under the token root; gone at `destroyAt`. */
  epochKey?: KekMaterial;
  /** In the folder of escrows. */
  escrowFile: string;
  destroyedAt?: string;
}

/** Canaries of one key's versions, by version as text. */
export interface KeyCanaries {
  keyId: string;
  canaries: Readonly<Record<string, Canary>>;
}

/** The restore that filled this site. */
export interface RestoreRecord extends RestoreDescription {
  session: string;
  /** SHA-256 of the backup's header, which no other backup has. */
  headerDigest: string;
}

const dayMs = 86_400_000;
const iso = (ms: number) => new Date(ms).toISOString();

export interface Retention {
  epochDays: number;
  retentionDays: number;
}

export function newEpoch(
  { epoch, group, epochKey, escrowFile }: Pick<EpochRecord, 'epoch' | 'group' | 'epochKey' | 'escrowFile'>,
  { epochDays, retentionDays }: Retention,
  nowMs: number,
): EpochRecord {
  const endsMs = nowMs + epochDays * dayMs;
  return {
    ...{ epoch, group, epochKey, escrowFile },
    ...{ createdAt: iso(nowMs), endsAt: iso(endsMs), destroyAt: iso(endsMs + retentionDays * dayMs) },
  };
}

/** Under which a backup is begun now: undefined when a new one is due. */
export const currentEpoch = (epochs: readonly EpochRecord[], group: string, nowMs: number): EpochRecord | undefined =>
  epochs.find((e) => e.epochKey !== undefined && e.group === group && Date.parse(e.createdAt) <= nowMs && nowMs < Date.parse(e.endsAt));

/** Its key and its escrow are to be destroyed. */
export const isOver = (epoch: EpochRecord, nowMs: number): boolean =>
  epoch.destroyedAt === undefined && Date.parse(epoch.destroyAt) <= nowMs;

/** After a failure it is tried again much sooner than after a success. */
const afterFailureMs = 15 * 60_000;
/** Whether the schedule asks for a backup: by when the last one that stands, and the last one at all, were begun. */
export function isBackupDue(newestFirst: readonly Pick<BackupRecord, 'state' | 'createdAt'>[], everyHours: number, nowMs: number): boolean {
  const [last] = newestFirst;
  const good = newestFirst.find(({ state }) => state === 'complete');
  const isOlder = (one: { createdAt: string } | undefined, ms: number) => one === undefined || nowMs - Date.parse(one.createdAt) >= ms;
  return isOlder(good, everyHours * 3_600_000) && (last === good || isOlder(last, afterFailureMs));
}

/** Whether the newest backup that stands is to be looked at again. */
export function isVerificationDue(newest: Pick<BackupRecord, 'verified'>, everyHours: number, nowMs: number): boolean {
  return newest.verified === undefined || nowMs - Date.parse(newest.verified.at) >= everyHours * 3_600_000;
}

export function describeBackup({ session: _, told: __, ...record }: BackupRecord, epoch: EpochRecord | undefined): BackupDescription {
  return { ...record, readableUntil: epoch?.destroyedAt ?? epoch?.destroyAt ?? record.createdAt };
}
/** Without the ids of keys: two hundred backups with a thousand each are larger than a message. The description of one has them. */
export function listedBackup({ keysInToken: _, tampered: __, verified, ...backup }: BackupDescription): BackupDescription {
  return { ...backup, ...(verified ? { verified: { ...verified, failed: [] } } : {}) };
}
export const describeRestore = ({ session: _, headerDigest: __, ...record }: RestoreRecord): RestoreDescription => record;

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** `b_20260301120000000_…`: sorts by time. `random` gives a number below its argument. */
export const idAt = (kind: 'b' | 'e', nowMs: number, random: (below: number) => number): string =>
  `${timeOf(kind, nowMs)}_${Array.from({ length: 10 }, () => letters[random(letters.length)]).join('')}`;
/** What ids of that time begin with. */
export const timeOf = (kind: 'b' | 'e', atMs: number): string => `${kind}_${iso(atMs).replaceAll(/\D/g, '')}`;
