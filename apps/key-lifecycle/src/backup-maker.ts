import { BackupFile, BackupWriter } from '@claviger/backup';
import {
  type BackupCounts,
  type BackupHeader,
  type BackupManifest,
  type BundleView,
  backupFormat,
  type KekInBackup,
  type KeyInBackup,
  type Trust,
} from '@claviger/contracts';
import type { RecordSigner } from '@claviger/messaging';
import type { BackupHsm } from './backup-hsm';
import type { EpochRecord } from './backup-records';
import type { BackupSource, StoredKey } from './backup-source';
import type { CanaryMaker } from './canary-maker';
import { isLiving, type Kek } from './kek';
import { isDestroyed } from './key';
import type { Checkpoints, SignedCheckpoint } from './newest-checkpoint';
import { isInBackup, provable, staysInToken } from './provable';

export interface BackupMakerParts {
  hsm: BackupHsm;
  source: BackupSource;
  canaries: Pick<CanaryMaker, 'of'>;
  keks: () => Promise<Kek[]>;
  bundle: () => BundleView | undefined;
  checkpoints: Checkpoints;
  signer: RecordSigner;
  trust: Trust;
  folder: string;
  now?: () => Date;
  pause?: (ms: number) => Promise<void>;
}

export interface Made {
  file: string;
  bytes: number;
  manifestDigest: string;
  manifest: Omit<BackupManifest, 'backupId' | 'chunks' | 'prev'>;
}

/** The ledger is this far behind at most; else the backup says that it is not covered. */
const checkpointWaitMs = 60_000;
const everyMs = 500;
const listed = { keysInToken: 1_000, tampered: 100 };

/** Makes one backup: the aliases, of each key the newest state when it was read, then the KEKs that came meanwhile, then a checkpoint that covers all of it. */
export class BackupMaker {
  constructor(private readonly parts: BackupMakerParts) {}

  async make(backupId: string, epoch: EpochRecord, progress: (keys: number) => Promise<void>): Promise<Made> {
    const { folder } = this.parts;
    const file = `${backupId}.backup`;
    const out = await BackupFile.create(folder, file);
    try {
      const { manifest, manifestDigest } = await this.write(backupId, epoch, (line) => out.write(line), progress);
      return { file, bytes: await out.finish(), manifestDigest, manifest };
    } catch (error) {
      await out.abandon();
      throw error;
    }
  }

  private async write(
    backupId: string,
    epoch: EpochRecord,
    write: (line: string) => Promise<void>,
    progress: (keys: number) => Promise<void>,
  ): Promise<Pick<Made, 'manifest' | 'manifestDigest'>> {
    const { hsm, keks, bundle, signer, trust } = this.parts;
    const { epochKey } = epoch;
    if (!epochKey) throw new Error(`the key of epoch ${epoch.epoch} is destroyed`);
    const from = this.now();
    const dataKey = await hsm.generateBackupKey(epochKey);
    const header: BackupHeader = {
      ...{ format: backupFormat, backupId, epoch: epoch.epoch, group: epoch.group, site: trust.ledger.origin },
      ...{ createdAt: from, dataKey, trust },
    };
    const writer = new BackupWriter({
      header,
      signer,
      write,
      seal: (n, plaintext) => hsm.seal({ epochKey, dataKey, backupId }, n, plaintext),
    });
    await writer.begin();

    const counts = { keys: 0, versions: 0, keks: 0, proven: 0, destroyed: 0, inToken: 0 };
    const first = await keks();
    for (const kek of await this.underEpoch(epoch, first)) await writer.add('keks', kek);
    // Before the keys: one that was made after them could point to a key that is not in the backup.
    const aliases = await this.addAliases(writer);
    const { keysInToken, tampered } = await this.addKeys(writer, counts, progress);
    // A key that was read may lie under a KEK that was made, or rewrapped, after the first look at them.
    const late = (await keks()).filter((kek) => !first.some((one) => one.kekId === kek.kekId && one.revision === kek.revision));
    for (const kek of await this.underEpoch(epoch, late)) await writer.add('late-keks', kek);
    counts.keks = first.length + late.length;
    const policy = bundle();
    if (policy) await writer.add('policy', policy);
    const to = this.now();
    const { checkpoint, uncovered } = await this.checkpointAfter(to);
    const manifest = {
      ...{ finishedAt: this.now(), snapshot: { from, to }, counts: { ...counts, aliases: aliases.count }, keysInToken, uncovered },
      tampered: [...tampered, ...aliases.tampered].slice(0, listed.tampered),
      ...(checkpoint ? { checkpoint } : {}),
    };
    return { manifest, manifestDigest: await writer.finish(manifest) };
  }

  private async addAliases(writer: BackupWriter): Promise<{ count: number; tampered: string[] }> {
    const all = { count: 0, tampered: [] as string[] };
    let after: string | undefined;
    do {
      const page = await this.parts.source.aliasPage(after);
      for (const alias of page.aliases) await writer.add('aliases', alias);
      all.count += page.aliases.length;
      all.tampered.push(...page.tampered.slice(0, listed.tampered - all.tampered.length));
      after = page.next;
    } while (after !== undefined);
    return all;
  }

  private async addKeys(writer: BackupWriter, counts: BackupCounts, progress: (keys: number) => Promise<void>) {
    const { source, canaries, keks } = this.parts;
    const keysInToken: string[] = [];
    const tampered: string[] = [];
    const living = async () => new Map((await keks()).filter(isLiving).map((kek) => [kek.kekId, kek]));
    let known = await living();
    let after: string | undefined;
    do {
      const page = await source.page(after);
      const wanted = page.keys.flatMap(({ key }) =>
        key.versions.flatMap(({ material }) => (material?.custody === 'wrapped' ? [material.kekId] : [])),
      );
      if (wanted.some((kekId) => !known.has(kekId))) known = await living();
      const made = await canaries.of(
        page.keys.map(({ key }) => key),
        (kekId) => known.get(kekId),
      );
      const invocations = await source.invocationsOf(page.keys.map(({ key }) => key.keyId));
      for (const stored of page.keys) {
        const own = made.get(stored.key.keyId) ?? {};
        await writer.add('keys', entryOf(stored, own, invocations.get(stored.key.keyId)));
        countKey(counts, stored, own);
        if (stored.key.versions.some(staysInToken) && keysInToken.length < listed.keysInToken) keysInToken.push(stored.key.keyId);
      }
      tampered.push(...page.tampered.slice(0, listed.tampered - tampered.length));
      after = page.next;
      await progress(counts.keys);
    } while (after !== undefined);
    return { keysInToken, tampered };
  }

  private async underEpoch({ epochKey }: EpochRecord, keks: readonly Kek[]): Promise<KekInBackup[]> {
    if (!epochKey) return [];
    const living = keks.filter(isLiving);
    const wrapped = await this.parts.hsm.keksToEpoch(
      epochKey,
      living.map(({ material }) => material),
    );
    const materials = new Map(living.map(({ kekId }, i) => [kekId, wrapped[i]]));
    // Of those that are destroyed the record alone: their generations are never used again.
    return keks.map(({ material: _, ...kek }) => ({ ...kek, material: materials.get(kek.kekId) }));
  }

  /**
   * The record of every change that was read is in AUDIT once no key owes one from before `to`; a checkpoint that covers AUDIT as it is then covers all
   * of them. Where that does not come in time, the newest one, and it is said.
   */
  private async checkpointAfter(to: string): Promise<{ checkpoint: SignedCheckpoint | undefined; uncovered: boolean }> {
    const { source, checkpoints, pause = wait } = this.parts;
    let wanted: number | undefined;
    let checkpoint: SignedCheckpoint | undefined;
    for (let waited = 0; waited <= checkpointWaitMs; waited += everyMs) {
      if (wanted === undefined && !(await source.owesRecords(to))) wanted = await checkpoints.auditSeq();
      checkpoint = await checkpoints.newest();
      if (wanted !== undefined && checkpoint && checkpoint.streamSeq >= wanted) return { checkpoint, uncovered: false };
      await pause(everyMs);
    }
    return { checkpoint, uncovered: true };
  }

  private now(): string {
    return (this.parts.now?.() ?? new Date()).toISOString();
  }
}

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const entryOf = (
  { key, revision, signed, invocations }: StoredKey,
  canaries: KeyInBackup['canaries'],
  counted = invocations,
): KeyInBackup => ({
  ...{ keyId: key.keyId, revision, signed, canaries },
  invocations: counted,
});

function countKey(counts: BackupCounts, { key }: StoredKey, canaries: KeyInBackup['canaries']): void {
  counts.keys++;
  counts.versions += key.versions.filter(isInBackup).length;
  counts.proven += provable(key, canaries).length;
  counts.inToken += key.versions.filter(staysInToken).length;
  if (isDestroyed(key)) counts.destroyed++;
}
