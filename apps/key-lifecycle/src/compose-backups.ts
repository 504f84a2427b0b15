import type { RecordSigner } from '@claviger/messaging';
import { ConfigurationError } from '@claviger/operability';
import type { CoreService } from '@claviger/service';
import type { LoggerService } from '@nestjs/common';
import type { Db } from 'mongodb';
import type { AliasDelivery } from './alias-delivery';
import type { AliasStore } from './alias-store';
import { BackupParts } from './backup.controller';
import { BackupEpochs } from './backup-epochs';
import { BackupHsm } from './backup-hsm';
import { BackupMaker } from './backup-maker';
import { BackupSource } from './backup-source';
import type { BackupStore } from './backup-store';
import { BackupTales } from './backup-tales';
import { Backups } from './backups';
import { CanaryMaker } from './canary-maker';
import type { Config } from './config';
import type { Delivery } from './delivery';
import type { LeaseBounds } from './invocations';
import type { KekStore } from './kek-store';
import type { KeyCommands } from './key-commands';
import type { KeyStore } from './key-store';
import { publishedCheckpoints } from './newest-checkpoint';
import { Restoring } from './restoring';
import type { Roots } from './roots';
import type { SignedDocuments } from './signed-documents';
import { Site } from './site';
import { tombstonePage } from './tombstones';
import { WorkInHand } from './work-in-hand';

interface Given {
  config: Config;
  core: CoreService;
  db: Db;
  signer: RecordSigner;
  documents: SignedDocuments;
  store: KeyStore;
  commands: KeyCommands;
  delivery: Delivery;
  aliases: AliasStore;
  aliasDelivery: AliasDelivery;
  keks: KekStore;
  roots: Roots;
  bounds: LeaseBounds;
  backupStore: BackupStore;
  logger: LoggerService;
}

/** Backups, where folders for them are configured: how long they are kept, on what schedule they are made and looked at. */
export function composeBackups({
  config,
  core,
  db,
  signer,
  documents,
  store,
  commands,
  delivery,
  aliases,
  aliasDelivery,
  keks,
  roots,
  bounds,
  backupStore,
  logger,
}: Given) {
  const { connection, trusted, trust, trail, policy, worker } = core;
  const { BACKUP_FOLDER: folder, BACKUP_ESCROW_FOLDER: escrowFolder } = config;
  if (folder === undefined || escrowFolder === undefined) {
    if (folder !== escrowFolder) throw new ConfigurationError(['BACKUP_FOLDER and BACKUP_ESCROW_FOLDER: set both, or none']);
    return { parts: new BackupParts(undefined), start: () => undefined, stop: async () => undefined };
  }
  if (folder === escrowFolder) throw new ConfigurationError(['BACKUP_ESCROW_FOLDER: must be another folder than BACKUP_FOLDER']);
  const hsm = new BackupHsm(connection);
  const retention = { epochDays: config.BACKUP_EPOCH_DAYS, retentionDays: config.BACKUP_RETENTION_DAYS };
  const group = config.BACKUP_RECOVERY_GROUP;
  const canaries = new CanaryMaker({ hsm, backups: backupStore, keys: store, bounds });
  const root = () => roots.current();
  const source = new BackupSource(db, documents);
  const checkpoints = publishedCheckpoints(connection, trust.ledger);
  const bundle = () => [...policy.values()].at(0);
  const maker = new BackupMaker({ hsm, canaries, keks: () => keks.all(), signer, trust, folder, source, bundle, checkpoints });
  const tales = new BackupTales(connection, trail, backupStore, logger);
  const work = new WorkInHand(backupStore, worker, (what, error) => logger.warn(`${what} a backup: ${String(error)}`));
  const backups = new Backups({
    ...{ store: backupStore, maker, hsm, documents, trusted, work, folder, logger },
    epochs: new BackupEpochs({ roots, hsm, store: backupStore, signer, trust, folder: escrowFolder, retention, group }),
    tales,
    ...{ everyHours: config.BACKUP_EVERY_HOURS, verifyHours: config.BACKUP_VERIFY_HOURS },
  });
  const restoring = new Restoring({
    ...{
      hsm,
      store: backupStore,
      source,
      keys: store,
      keks,
      root,
      commands,
      delivery,
      aliases,
      aliasDelivery,
      documents,
      signer,
      trail,
      tales,
      work,
      site: new Site(config.SITE_REGION),
      folder,
      logger,
    },
  });
  const site = trust.ledger.origin;
  return {
    parts: new BackupParts({ backups, restoring, tombstones: (after) => tombstonePage({ source, checkpoints, signer, site }, after) }),
    start: () => backups.start(config.DUE_SWEEP_SECONDS * 1_000),
    stop: async () => {
      restoring.stop();
      await backups.stop();
      await work.idle();
    },
  };
}
