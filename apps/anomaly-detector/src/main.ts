import 'reflect-metadata';
import { alertOperations } from '@claviger/contracts';
import { selfTest, tokenKeyLabels } from '@claviger/hsm';
import { OutboxRelay, RequestServer } from '@claviger/messaging';
import { readConfiguration, runService, serveHealth, storeOptions } from '@claviger/operability';
import { coreChecks, observeCore, openCoreService, RecordedReply } from '@claviger/service';
import { jetstream } from '@nats-io/jetstream';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { MongoClient } from 'mongodb';
import { type AlertEvent, alertSubject } from './alert-event';
import { AlertStore } from './alert-store';
import { AppModule } from './app.module';
import { Config, detectionSettings } from './config';
import { Detector } from './detector';
import { checks } from './health';
import { observeDetector } from './metrics';
import { RaisedAlerts } from './raised-alerts';
import { SnapshotStore } from './snapshot-store';

const service = 'anomaly-detector';

await runService(service, async (logger) => {
  const config = readConfiguration(Config);
  const { SNAPSHOT_SECONDS: snapshotSeconds } = config;
  const core = await openCoreService({ service, short: 'ad', config, certifier: tokenKeyLabels.detection.certifier, logger });
  const { worker, trail, sessions, policy, gate, connection } = core;
  logger.log(`self test ${JSON.stringify(selfTest(core.token))}`);

  const mongo = new MongoClient(config.MONGODB_URL, { ...storeOptions, appName: `claviger-${service}` });
  const db = mongo.db(config.MONGODB_DATABASE);
  const store = new AlertStore(db);
  const snapshots = new SnapshotStore(db);
  const js = jetstream(connection);
  const relay = new OutboxRelay<AlertEvent>(
    store,
    async ({ entry }) => void (await js.publish(alertSubject(entry), JSON.stringify(entry), { msgID: entry.id })),
    logger,
  );
  const alerts = new RaisedAlerts(store, relay);
  const prepare = async () => {
    // Explicitly: a client whose first connection failed stays unusable until it is told to connect again.
    await mongo.connect();
    await store.prepare();
    await snapshots.prepare();
    relay.start();
  };
  const detector = new Detector({ connection, settings: detectionSettings(config), snapshots, prepare, alerts, snapshotSeconds, logger });

  const server = new RequestServer({ connection, services: { alerts: alertOperations } });
  server.recordRefusalsWith((request, operation, refusal) => trail.refusal(request, operation, refusal));
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(
    AppModule.with({ store, relay, replies: new RecordedReply(gate, trail) }),
    { strategy: server, logger, abortOnError: false },
  );
  const views = { sessions, policy };
  observeCore(core, server, views);
  observeDetector(detector, alerts);
  const health = await serveHealth({
    service,
    host: config.HEALTH_HOST,
    port: config.HEALTH_PORT,
    telemetry: core.telemetry,
    checks: [...coreChecks(core, server, views), ...checks(store, detector, snapshotSeconds)],
  });
  await core.soonReady();
  await app.listen();
  detector.start();
  logger.log(`${worker} takes requests; health on port ${health.port}`);

  return [
    () => server.close(),
    () => detector.stop(),
    () => relay.stop(),
    core.drain.records,
    core.drain.views,
    () => app.close(),
    core.drain.connection,
    () => mongo.close(),
    () => health.close(),
    core.drain.rest,
  ];
});
