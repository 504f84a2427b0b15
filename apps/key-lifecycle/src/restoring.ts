import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BackupDamaged, digestOf, linesOf, readBackup } from '@claviger/backup';
import {
  type BundleView,
  type backupOperations,
  type KekInBackup,
  ProblemError,
  type Proof,
  type Request,
  Trust,
  unpacked,
} from '@claviger/contracts';
import { type AuditTrail, importTrustedKeys } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import type { AliasDelivery } from './alias-delivery';
import type { AliasStore } from './alias-store';
import type { BackupHsm } from './backup-hsm';
import { Findings } from './backup-proof';
import { BackupReader } from './backup-reader';
import { describeRestore, type RestoreRecord } from './backup-records';
import type { BackupSource } from './backup-source';
import type { BackupStore } from './backup-store';
import type { BackupTales } from './backup-tales';
import { failureOf } from './backups';
import type { Delivery } from './delivery';
import { inParallel } from './in-parallel';
import { isLiving, isUsableStill, type Kek, type LivingKek } from './kek';
import type { KekStore } from './kek-store';
import { inTime } from './kek-use';
import type { Key } from './key';
import type { KeyCommands } from './key-commands';
import type { KeyStore } from './key-store';
import { provable } from './provable';
import { restoreAliases } from './restored-aliases';
import { type Restored, restoredKey } from './restored-key';
import { rotatedAnew } from './restored-rotation';
import type { RootName } from './root';
import { SignedDocuments } from './signed-documents';
import type { Site } from './site';
import { type Evidence, readEvidence } from './tombstones';
import type { WorkInHand } from './work-in-hand';

type Asked = Omit<Request<typeof backupOperations.restore>, 'trust'> & { trust: Trust };
type Entry = BackupReader extends { keys(): AsyncGenerator<infer E> } ? E : never;
type By = Pick<RestoreRecord, 'by' | 'session'>;

export interface RestoringParts {
  hsm: BackupHsm;
  store: BackupStore;
  source: BackupSource;
  keys: Pick<KeyStore, 'insertRestored' | 'get'>;
  aliases: Pick<AliasStore, 'insertRestored'>;
  aliasDelivery: Pick<AliasDelivery, 'put'>;
  keks: Pick<KekStore, 'claim' | 'all' | 'get'>;
  /** The root that KEKs are wrapped under; undefined while there is but one. */
  root: () => Promise<RootName | undefined>;
  commands: Pick<KeyCommands, 'material'>;
  delivery: Pick<Delivery, 'putKek' | 'putKey'>;
  documents: SignedDocuments;
  signer: ConstructorParameters<typeof SignedDocuments>[0];
  trail: Pick<AuditTrail, 'operation'>;
  tales: Pick<BackupTales, 'restored'>;
  work: WorkInHand;
  site: Pick<Site, 'parted'>;
  folder: string;
  logger: LoggerService;
  nowMs?: () => number;
}

const batchSize = 100;

/** What is read once and used for every key. */
interface Plan {
  reader: BackupReader;
  /** Of the site that the backup is of. */
  theirs: SignedDocuments;
  keks: ReadonlyMap<string, LivingKek>;
  evidence: Evidence | undefined;
}

/**
 * A backup into this site, which has no keys of its own: KEKs from under the epoch's key to under this token's root, documents signed anew, every key proven
 * by its canary before it is stored. Interrupted, it goes on where it was when it is asked for again.
 */
export class Restoring {
  private stopped = false;
  private readonly nowMs: () => number;

  constructor(private readonly parts: RestoringParts) {
    this.nowMs = parts.nowMs ?? Date.now;
  }

  stop(): void {
    this.stopped = true;
  }

  async status(): Promise<ReturnType<typeof describeRestore> | undefined> {
    const record = await this.parts.store.restore();
    return record && describeRestore(record);
  }

  /** @throws ProblemError ERR_BACKUP_REFUSED (this site has keys, or comes from another backup), ERR_BACKUP_DAMAGED, ERR_CONFLICT, ERR_NOT_FOUND */
  async begin(request: Request<typeof backupOperations.restore>, by: By): Promise<RestoreRecord> {
    const asked = { ...request, trust: trustIn(request.trust) };
    const { header, headerDigest } = await this.headerOf(asked);
    const begin = async (): Promise<RestoreRecord> => {
      const known = await this.parts.store.restore();
      if (known && known.headerDigest !== headerDigest) throw refused(`This site was restored from ${known.backupId}.`);
      if (known?.state === 'complete') return known;
      if (!known && !(await this.isEmpty())) throw refused('This site has keys of its own: a backup is restored into an empty one.');
      const { failure: _, finishedAt: __, ...before } = known ?? this.newRecord(header.backupId, headerDigest, by);
      const record: RestoreRecord = { ...before, state: 'running', ...by };
      await this.parts.store.putRestore(record);
      return record;
    };
    const begun = await this.parts.work.begin('restoring', begin, async (record) => {
      if (record.state === 'running') await this.run(record, asked);
    });
    if (begun) return begun.begun;
    const going = await this.parts.store.restore();
    if (going?.headerDigest === headerDigest) return going;
    throw new ProblemError('ERR_CONFLICT', 'Another backup is being restored.');
  }

  private newRecord(backupId: string, headerDigest: string, by: By): RestoreRecord {
    return { ...{ backupId, headerDigest, state: 'running', startedAt: this.now(), progress: { keys: 0, of: 0 } }, ...by };
  }

  private async headerOf({ file, trust }: Asked) {
    try {
      for await (const first of linesOf(join(this.parts.folder, file))) {
        for await (const line of readBackup(once(first), importTrustedKeys(trust.control)))
          if (line.kind === 'header') return { header: line.header, headerDigest: digestOf(first) };
      }
      throw new BackupDamaged('it is empty', 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT')
        throw new ProblemError('ERR_NOT_FOUND', `There is no ${file} in BACKUP_FOLDER of key-lifecycle.`);
      if (error instanceof BackupDamaged) throw new ProblemError('ERR_BACKUP_DAMAGED', error.message, { cause: error });
      throw error;
    }
  }

  private async isEmpty(): Promise<boolean> {
    return (await this.parts.source.isEmpty()) && (await this.parts.keks.all()).length === 0;
  }

  private async run(record: RestoreRecord, asked: Asked): Promise<void> {
    const { store, tales, logger } = this.parts;
    const startedMs = this.nowMs();
    let ended: RestoreRecord;
    try {
      const plan = await this.plan(asked);
      const { manifest } = plan.reader.whole;
      const recoveryPointSeconds = Math.max(0, Math.round((Date.parse(record.startedAt) - Date.parse(manifest.snapshot.from)) / 1_000));
      const filled = await this.fill({ ...record, recoveryPointSeconds, progress: { ...record.progress, of: manifest.counts.keys } }, plan);
      const { keys, aliases, aliasDelivery, trail } = this.parts;
      const assertGoingOn = () => this.assertGoingOn();
      const named = await restoreAliases({ keys, aliases, delivery: aliasDelivery, trail, assertGoingOn }, plan.reader, record);
      const policy = await plan.reader.policy();
      if (policy) await this.writePolicy(record.backupId, policy);
      const { proof, progress } = filled;
      const isAll = progress.keys === progress.of && (proof?.failures ?? 0) === 0;
      ended = {
        ...{ ...filled, state: 'complete', finishedAt: this.now() },
        ...(filled.restored ? { restored: { ...filled.restored, ...named } } : {}),
        ...(proof ? { proof: { ...proof, ok: isAll, tookMs: proof.tookMs + this.nowMs() - startedMs } } : {}),
      };
      logger.log(`restored ${progress.keys} keys and ${named.aliases} aliases from ${record.backupId}, ${proof?.proven} versions proven`);
    } catch (error) {
      const before = (await store.restore()) ?? record;
      ended = { ...before, state: 'failed', finishedAt: this.now(), failure: failureOf(error) };
      logger.error(`restore of ${record.backupId}: ${String(error)}`);
    }
    await tales.restored(ended);
    await store.putRestore(ended);
  }

  private async plan({ file, trust, epochKey, evidence }: Asked): Promise<Plan> {
    const { folder, hsm, signer } = this.parts;
    const trusted = importTrustedKeys(trust.control);
    const theirs = new SignedDocuments(signer, trusted);
    const reader = await BackupReader.open({ folder, file }, { documents: theirs, trusted }, hsm, epochKey);
    assertOf(trust, reader);
    const known = evidence && (await this.evidence(evidence, trust, reader));
    return { reader, theirs, keks: await this.restoreKeks([...(await reader.keks()).values()], epochKey), evidence: known };
  }

  private async restoreKeks(theirs: readonly KekInBackup[], epochKey: Asked['epochKey']): Promise<Map<string, LivingKek>> {
    const { hsm, keks: store, delivery, root } = this.parts;
    const wrapped = theirs.flatMap(({ kekId, material }) => (material ? [{ kekId, material }] : []));
    const materials = await hsm.keksFromEpoch(
      epochKey,
      wrapped.map(({ material }) => material),
      await root(),
    );
    const byId = new Map(wrapped.map(({ kekId }, i) => [kekId, materials[i]]));
    const keks = new Map<string, LivingKek>();
    for (const kek of theirs) {
      const ours = await store.claim({ ...kek, rewrappedBy: undefined, material: byId.get(kek.kekId) } as unknown as Kek);
      await delivery.putKek(ours);
      if (isLiving(ours)) keks.set(ours.kekId, ours);
    }
    return keks;
  }

  private async evidence(
    { checkpoint, tombstones }: NonNullable<Asked['evidence']>,
    trust: Trust,
    reader: BackupReader,
  ): Promise<Evidence> {
    return readEvidence({ checkpoint, file: join(this.parts.folder, tombstones) }, trust, reader.whole.manifest.checkpoint?.size ?? 0);
  }

  private async fill(record: RestoreRecord, plan: Plan): Promise<RestoreRecord> {
    let now = record;
    let batch: Entry[] = [];
    let seen = 0;
    const flush = async () => {
      now = await this.batch(now, plan, batch);
      batch = [];
      await this.parts.store.putRestore(now);
      this.assertGoingOn();
    };
    for await (const entry of plan.reader.keys()) {
      // What an earlier run has done.
      if (++seen <= record.progress.keys) continue;
      batch.push(entry);
      if (batch.length >= batchSize) await flush();
    }
    if (batch.length > 0) await flush();
    return now;
  }

  /** Doing it twice has the effect of once: what is stored already stays as it is. */
  private async batch(record: RestoreRecord, plan: Plan, read: readonly Entry[]): Promise<RestoreRecord> {
    const { keys, store, documents, delivery, site } = this.parts;
    const { here: entries, elsewhere } = site.parted(read);
    const findings = await this.prove(plan, entries);
    const defects = new Map(findings.failed.map(({ keyId, detail }) => [keyId, detail]));
    for (const { entry, why } of elsewhere) findings.add({ keyId: entry.key.keyId, version: entry.key.primaryVersion }, `left out: ${why}`);
    const all = await inParallel(entries, async ({ key, entry }) => {
      const rule = { backupId: record.backupId, proven: plan.evidence !== undefined, tombstone: plan.evidence?.get(key.keyId) };
      const { backupId } = record;
      const restored = await rotatedAnew(
        restoredKey(key, { ...rule, defect: defects.get(key.keyId) }, this.nowMs()),
        (of) => this.parts.commands.material(of, ROOT_CONTEXT),
        { backupId, now: this.now() },
      );
      if (restored.refused !== undefined) findings.add({ keyId: key.keyId, version: key.primaryVersion }, restored.refused);
      const invocations = await documents.signInvocations(plan.theirs.readInvocations(key.keyId, entry.invocations));
      return { ...restored, invocations, canaries: { keyId: key.keyId, canaries: entry.canaries } };
    });
    const assertInTime = inTime();
    await this.assertUsable(
      all.map(({ key }) => key),
      plan,
    );
    assertInTime();
    const stored = await keys.insertRestored(all);
    await store.putCanaries(all.map(({ canaries }) => canaries));
    await inParallel(stored, (key) => delivery.putKey(key));
    await Promise.all(all.map((one) => this.record(record, one)));
    const count = (outcome: Restored['outcome']) => all.filter((one) => one.outcome === outcome).length;
    const before = record.restored ?? { usable: 0, suspended: 0, destroyed: 0, rotated: 0 };
    return {
      ...record,
      progress: { ...record.progress, keys: record.progress.keys + read.length },
      restored: {
        ...record.restored,
        usable: before.usable + count('usable'),
        suspended: before.suspended + count('suspended'),
        destroyed: before.destroyed + count('destroyed'),
        rotated: before.rotated + all.filter(({ rotates }) => rotates).length,
      },
      proof: added(record.proof, findings, entries.length, this.now()),
    };
  }

  /** Nothing is stored under a KEK that was rotated since it was read: it may be destroyed by now, or about to be. */
  private async assertUsable(keys: readonly Key[], { keks }: Plan): Promise<void> {
    const ids = keys.flatMap(({ versions }) =>
      versions.flatMap(({ material }) => (material?.custody === 'wrapped' ? [material.kekId] : [])),
    );
    for (const kekId of new Set(ids)) {
      const kek = await this.parts.keks.get(kekId);
      // One that the backup lacks is a finding of its own.
      if (!kek && !keks.has(kekId)) continue;
      if (!isUsableStill(kek, keks.get(kekId)))
        throw new ProblemError('ERR_KEY_STATE', `${kekId} is ${kek?.state ?? 'not there'}: keys of the backup are under it.`);
    }
  }

  private async prove({ keks }: Plan, entries: readonly Entry[]): Promise<Findings> {
    const findings = new Findings();
    const subjects = entries.flatMap(({ key, entry }) => provable(key, entry.canaries));
    for (const [kekId, of] of Map.groupBy(subjects, (one) => one.kekId)) {
      const kek = keks.get(kekId);
      const asked = of.map(({ subject }) => subject);
      const found = kek
        ? await this.parts.hsm.checkCanaries({ underRoot: kek.material }, asked)
        : asked.map(() => `its KEK ${kekId} is not in the backup`);
      for (const [i, subject] of asked.entries()) findings.add(subject, found[i] ?? 'the token said nothing about it');
    }
    return findings;
  }

  private async record({ backupId, by, session }: RestoreRecord, { key, outcome, refused }: Restored): Promise<void> {
    const reason = `restored from ${backupId}: ${refused ?? outcome}`;
    await this.parts.trail.operation(
      {
        ...{ action: 'backup:Restore', principal: by, session, keyId: key.keyId, version: key.primaryVersion, reason },
        ...{ outcome: 'success', revisions: { key: key.revision } },
      },
      `${backupId}.${key.keyId}.restored`,
    );
  }

  /** As `claviger policy publish` takes it: whether these policies are to be in force here is for people to decide. */
  private async writePolicy(backupId: string, { bundle }: BundleView): Promise<void> {
    const { policies, schema, ...registries } = unpacked(bundle) as Record<string, unknown>;
    const folder = join(this.parts.folder, `${backupId}.policies`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const files: [string, string][] = [
      ['policies.cedar', String(policies)],
      ['schema.cedarschema', String(schema)],
      ...Object.entries(registries).flatMap(([name, value]): [string, string][] =>
        typeof value === 'object' && value !== null ? [[`${name}.json`, `${JSON.stringify(value, null, 2)}\n`]] : [],
      ),
    ];
    for (const [name, text] of files) await writeFile(join(folder, name), text, { mode: 0o600 });
  }

  private assertGoingOn(): void {
    if (this.stopped) throw new ProblemError('ERR_SHUTTING_DOWN', 'This process ends; ask for the restore again.');
  }

  private now(): string {
    return new Date(this.nowMs()).toISOString();
  }
}

function assertOf({ ledger }: Trust, { whole: { header } }: BackupReader): void {
  if (header.site !== ledger.origin) throw refused(`The backup is of ${header.site}, and the trust file of ${ledger.origin}.`);
}

/** @throws ProblemError ERR_MALFORMED_REQUEST */
function trustIn(text: string): Trust {
  try {
    return Trust.parse(JSON.parse(text));
  } catch {
    throw new ProblemError('ERR_MALFORMED_REQUEST', 'trust is not the text of a trust.json.');
  }
}

const refused = (why: string) => new ProblemError('ERR_BACKUP_REFUSED', why);

function added(before: Proof | undefined, findings: Findings, keys: number, at: string): Proof {
  const failures = (before?.failures ?? 0) + findings.failures;
  return {
    ...{ at, ok: failures === 0, keys: (before?.keys ?? 0) + keys, proven: (before?.proven ?? 0) + findings.proven },
    ...{ failures, failed: [...(before?.failed ?? []), ...findings.failed].slice(0, 100), tookMs: before?.tookMs ?? 0 },
  };
}

async function* once(line: string) {
  yield line;
}
