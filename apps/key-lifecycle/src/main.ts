import 'reflect-metadata';
import {
  backupOperations,
  exportOperations,
  importOperations,
  internalOperations,
  type KeysView,
  keyBatchOperations,
  keyOperations,
} from '@claviger/contracts';
import { tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import { isPinned, KvOwner, OutboxRelay, openKeysView, RequestServer, recordTypes, revisionReader } from '@claviger/messaging';
import { readConfiguration, runService, serveHealth, storeOptions } from '@claviger/operability';
import { Changes, coreChecks, OwedRecords, observeCore, openCoreService, RecordedReply } from '@claviger/service';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { MongoClient } from 'mongodb';
import { AliasCommands } from './alias-commands';
import { AliasDelivery } from './alias-delivery';
import { AliasStore } from './alias-store';
import { AppModule } from './app.module';
import { Assurance } from './assurance';
import { BackupStore } from './backup-store';
import { ComplianceWatch } from './compliance-watch';
import { composeBackups } from './compose-backups';
import { Config } from './config';
import { CurrentKeks } from './current-keks';
import { Delivery } from './delivery';
import { DueChanges } from './due-changes';
import { DueKeys } from './due-keys';
import { ExpiredImports } from './expired-imports';
import { Floors } from './floors';
import { checks } from './health';
import { ImportStore } from './import-store';
import { LeaseBounds } from './invocations';
import { JobStore } from './job-store';
import { KekStore } from './kek-store';
import { KeyBulk } from './key-bulk';
import { KeyCommands } from './key-commands';
import { KeyStore } from './key-store';
import { KeyTransport } from './key-transport';
import { backupsIn } from './last-backup';
import { LastUses } from './last-uses';
import { ListCursors } from './list-cursors';
import { OrphanSweep } from './orphan-sweep';
import { Propagation } from './propagation';
import { rebuildKeks, rebuildView } from './rebuild';
import { Reservations } from './reservations';
import { ReservedObjects } from './reserved-objects';
import { Hsm, OwedByJobs } from './rewrap.controller';
import { RewrapChanges } from './rewrap-changes';
import { RewrapRunner } from './rewrap-runner';
import { RewrapSteps } from './rewrap-steps';
import { Roots } from './roots';
import { SignedDocuments } from './signed-documents';
import { Site } from './site';
import { StoreCheck } from './store-check';
import { Statements } from './token-ending.controller';
import { TokenSightings } from './token-sightings';
import { TokenSurvey } from './token-survey';
import { TokenTales } from './token-tales';
import { TokenWatch } from './token-watch';
import { WrappingGuard } from './wrapping-guard';

const service = 'key-lifecycle';
/** Records that are held whole, beside KEKs and restricted keys: this service needs their revisions, and reads the rest in its store. */
const keysHeldMax = 100;

await runService(service, async (logger) => {
  const config = readConfiguration(Config);
  const core = await openCoreService({ service, short: 'kl', config, certifier: tokenKeyLabels.control.certifier, logger });
  const { worker, trust, trusted, token, trail, sessions, policy, gate, evaluator, connection } = core;
  const signer = trustedSigner(token, tokenKeyLabels.control.signing, trust.control);

  const mongo = new MongoClient(config.MONGODB_URL, { ...storeOptions, appName: `claviger-${service}` });
  const keyView = openKeysView(core.viewOptions, { atMost: keysHeldMax });
  // Of what is not proven yet nothing is known.
  const held = (id: string) => (keyView.trusted() ? keyView.held(id) : undefined);
  const documents = new SignedDocuments(signer, trusted, (id) => held(id)?.revision);
  const tampered = (key: string, detail: string) => core.refusedState.add({ bucket: 'store', key, reason: 'tampered-document', detail });
  const db = mongo.db(config.MONGODB_DATABASE);
  const store = new KeyStore(db, documents, tampered);
  const kekStore = new KekStore(db, documents, tampered, () => [...keyView.values()].filter((record) => record.kind === 'kek'));
  const roots = new Roots(db, documents);
  await keyView.start();
  const owner = new KvOwner<KeysView>(connection, 'keys', recordTypes.keys, signer, revisionReader('keys', trusted), { held }, isPinned);
  await owner.start();
  // Also where this process makes none: another may have.
  const backupStore = new BackupStore(db, signer, trusted, tampered);
  const delivery = new Delivery(connection, owner, store, trail, backupsIn(backupStore));
  const relay = new OutboxRelay(store, delivery.deliver, logger);
  const jobs = new JobStore(db, documents, tampered);
  const owing = {
    trail,
    signer,
    trusted,
    onTampered: tampered,
    logger,
    dueAfterMs: config.OWED_RECORD_SECONDS * 1_000,
  };
  const owed = new OwedRecords({ ...owing, source: store });
  const aliases = new AliasStore(db, documents, tampered);
  const aliasDelivery = new AliasDelivery(connection, owner, aliases);
  const aliasRelay = new OutboxRelay(aliases, aliasDelivery.deliver, logger, 'outbox of aliases');
  const owedOfAliases = new OwedRecords({ ...owing, source: aliases });
  const owedByJobs = new OwedRecords({ ...owing, source: jobs });
  const owedByRoots = new OwedRecords({ ...owing, source: roots });
  const propagation = new Propagation(connection, keyView);
  propagation.start();
  const bounds = new LeaseBounds(config.GCM_INVOCATIONS_MAX, config.GCM_ROTATE_AT);
  const floors = new Floors(evaluator);
  const due = new DueKeys(db, documents, store);
  const sightings = new TokenSightings(connection, keyView);
  const assurance = new Assurance(evaluator, floors, sightings);
  const tokenTales = new TokenTales(db, documents, tampered);
  const tokenWatch = new TokenWatch({ connection, assurance, sightings, tales: tokenTales, trail, holder: worker, logger });
  const compliance = new ComplianceWatch(due, floors, assurance, logger);
  const storeCheck = new StoreCheck(
    store,
    keyView,
    logger,
    (keys) => compliance.look(keys),
    () => aliasDelivery.check(keyView),
  );
  const keks = new CurrentKeks(connection, kekStore, roots, delivery);
  const reservations = new Reservations(db, documents);
  const orphanAfterMs = config.ORPHAN_SECONDS * 1_000;
  const objects = new ReservedObjects(reservations, orphanAfterMs);
  const commands = new KeyCommands(connection, store, keks, delivery, relay, owed, propagation, floors, logger, objects, assurance);
  const orphans = new OrphanSweep({ reservations, store, trail, connection, orphanAfterMs, logger });
  const changes = new RewrapChanges({ bulk: new KeyBulk(db, store), delivery, owed, trail, logger });
  const guard = new WrappingGuard({ keks: kekStore, jobs, backups: backupStore, view: keyView });
  const survey = new TokenSurvey(connection, keyView);
  const steps = new RewrapSteps({
    ...{ connection, store, keks: kekStore, roots, currentKeks: keks, delivery, changes, trail, view: keyView, guard },
    ...{ survey, assurance, epochs: backupStore },
  });
  const runner = new RewrapRunner({ jobs, steps, holder: worker, keysPerSecond: config.REWRAP_KEYS_PER_SECOND, logger });

  const imports = new ImportStore(db, documents, tampered);
  const transport = new KeyTransport({ connection, store, imports, keks, kekStore, bounds, assurance });

  const progress = { begun: false, checked: 0 };
  const backups = composeBackups({
    ...{ config, core, db, signer, documents, store, commands, delivery, bounds, logger },
    ...{ keks: kekStore, roots, backupStore, aliases, aliasDelivery },
  });

  const aliasCommands = new AliasCommands(aliases, aliasDelivery, aliasRelay, owedOfAliases, propagation, logger);

  let rebuilt = false;
  let stopping = false;
  let marking = false;
  const mark = async () => {
    if (!marking) owner.keepMark(keyView);
    marking = true;
    await owner.sign(keyView);
  };
  const rebuilding = (async () => {
    for (let attempt = 0; !rebuilt && !stopping; attempt++) {
      try {
        // Asked for in so many words: a client whose implicit first connection failed never tries again.
        await mongo.connect();
        await store.createIndexes();
        await aliases.createIndexes();
        if (!progress.begun) {
          await rebuildKeks(kekStore, delivery);
          // What a process that ended had committed and not delivered.
          await relay.sweep();
          relay.start();
          owed.start();
          aliasRelay.start();
          owedOfAliases.start();
          progress.begun = true;
        }
        if (await store.areIndexed().catch(() => false)) store.indexed();
        const count = await rebuildView({ store, delivery, view: keyView, logger }, (checked) => {
          progress.checked = checked;
          // It adds up to a mark that this service signed: that one may be followed by others.
          if (keyView.complete()) void mark();
        });
        await aliasDelivery.rebuild();
        rebuilt = true;
        logger.log(`the bucket holds ${count} keys as the document store has them`);
        await mark();
        orphans.start();
        owedByJobs.start();
        owedByRoots.start();
        runner.start();
        tokenWatch.start(config.DUE_SWEEP_SECONDS * 1_000);
        storeCheck.start(config.STORE_CHECK_SECONDS * 1_000);
        backups.start();
      } catch (error) {
        if (attempt % 10 === 0) logger.warn(`the view of keys cannot be rebuilt yet: ${String(error)}`);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    }
  })();

  const changeRequests = new Changes(core, signer, logger);
  void changeRequests.start();
  const server = new RequestServer({
    connection,
    services: { keys: { ...keyOperations, ...keyBatchOperations, ...importOperations, ...exportOperations }, backup: backupOperations },
    internal: { keys: { leaseInvocations: internalOperations.leaseInvocations } },
  });
  server.recordRefusalsWith((request, operation, refusal) => trail.refusal(request, operation, refusal));
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(
    AppModule.with({
      replies: new RecordedReply(gate, trail, undefined, changeRequests.approved),
      commands,
      store,
      keks: kekStore,
      roots,
      jobs,
      owedByJobs: new OwedByJobs(owedByJobs, owedByRoots),
      guard,
      survey,
      statements: new Statements({ signer, trust, trail }),
      hsm: new Hsm(connection),
      bounds,
      backups: backups.parts,
      transport,
      lastUses: new LastUses(connection),
      floors,
      aliases,
      aliasCommands,
      site: new Site(config.SITE_REGION),
      cursors: new ListCursors(db),
      assurance,
      sightings,
    }),
    { strategy: server, logger, abortOnError: false },
  );
  const views = { sessions, policy, keys: keyView };
  observeCore(core, server, views);
  const health = await serveHealth({
    service,
    host: config.HEALTH_HOST,
    port: config.HEALTH_PORT,
    telemetry: core.telemetry,
    checks: [
      ...coreChecks(core, server, views),
      ...checks(store, () => ({ rebuilt, complete: keyView.complete(), checked: progress.checked })),
    ],
  });
  await core.soonReady();
  await app.listen();
  logger.log(`${worker} takes requests; health on port ${health.port}`);

  const sweep = new DueChanges({ commands, due, store, trail, bounds, logger });
  commands.onDue = () => void sweep.sweep();
  sweep.start(config.DUE_SWEEP_SECONDS * 1_000);
  const expiredImports = new ExpiredImports(imports, logger);
  expiredImports.start(config.DUE_SWEEP_SECONDS * 1_000);
  return [
    () => server.close(),
    () => {
      stopping = true;
      return sweep.stop();
    },
    () => backups.stop(),
    () => expiredImports.stop(),
    () => storeCheck.stop(),
    () => tokenWatch.stop(),
    () => orphans.stop(),
    () => runner.stop(),
    () => relay.stop(),
    () => owed.stop(),
    () => aliasRelay.stop(),
    () => owedOfAliases.stop(),
    () => owedByJobs.stop(),
    () => owedByRoots.stop(),
    core.drain.records,
    () => {
      owner.stop();
      propagation.stop();
      keyView.stop();
      changeRequests.stop();
    },
    core.drain.views,
    () => app.close(),
    core.drain.connection,
    () => rebuilding,
    () => mongo.close(),
    () => health.close(),
    core.drain.rest,
  ];
});
