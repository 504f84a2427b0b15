import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { Evaluator, Gate } from '@claviger/authz';
import { alertOperations, Trust } from '@claviger/contracts';
import { openEpoch, readPin, selfTest, Token, tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import {
  AuditTrail,
  connectToCore,
  importTrustedKeys,
  OutboxRelay,
  openPolicyView,
  openSessionsView,
  RequestServer,
} from '@claviger/messaging';
import { readConfiguration, readJsonFile, runService, serveHealth, startTelemetry } from '@claviger/operability';
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
import { RecordedRequest } from './recorded-request';
import { SnapshotStore } from './snapshot-store';

const service = 'anomaly-detector';

await runService(service, async (logger) => {
  const config = readConfiguration(Config);
  const trust = readJsonFile('TRUST_FILE', config.TRUST_FILE, Trust);
  const worker = config.WORKER_ID ?? `ad-${randomBytes(4).toString('hex')}`;
  const telemetry = startTelemetry(service);

  const label = tokenKeyLabels.detection.certifier;
  const token = Token.open({
    libraryPath: config.PKCS11_LIBRARY,
    tokenLabel: config.HSM_TOKEN_LABEL,
    pin: readPin(config.HSM_PIN_FILE),
    canary: label,
  });
  logger.log(`self test ${JSON.stringify(selfTest(token))}`);
  const certifier = trustedSigner(token, label, trust.certifiers);

  const connection = await connectToCore({
    servers: config.NATS_URL,
    nkeySeedFile: config.NATS_NKEY_FILE,
    service,
    tls: { caFile: config.NATS_TLS_CA_FILE, certFile: config.NATS_TLS_CERT_FILE, keyFile: config.NATS_TLS_KEY_FILE },
  });
  const trail = new AuditTrail({ connection, service, worker, openEpoch: () => openEpoch(token, certifier) });

  const view = {
    connection,
    holder: `${service}.${worker}`,
    trusted: importTrustedKeys(trust.control),
    onRefused: (what: string) => logger.warn(`view: ${what}`),
  };
  const sessions = openSessionsView(view);
  const policy = openPolicyView(view);
  const evaluator = new Evaluator();
  policy.onChange(({ bundle, revision }) => {
    const loaded = evaluator.load(bundle);
    if (loaded.ok) logger.log(`policy bundle ${revision} is in force`);
    else logger.error(`policy bundle ${revision} refused: ${loaded.issues.map((i) => i.message).join('; ')}`);
  });
  const gate = new Gate({ sessions, policy: { fresh: () => policy.fresh() && evaluator.current !== undefined }, evaluator });
  await Promise.all([sessions.start(), policy.start()]);

  // Connects at the first use, and again whenever it must.
  const client = new MongoClient(config.MONGODB_URL, {
    serverSelectionTimeoutMS: 3_000,
    writeConcern: { w: 'majority', journal: true },
    ignoreUndefined: true,
    appName: service,
  });
  const db = client.db(config.MONGODB_DATABASE);
  const store = new AlertStore(db);
  const snapshots = new SnapshotStore(db);
  const js = jetstream(connection);
  const relay = new OutboxRelay<AlertEvent>(
    store,
    async ({ entry }) => void (await js.publish(alertSubject(entry), JSON.stringify(entry), { msgID: entry.id })),
    logger,
  );
  const alerts = new RaisedAlerts(store, relay);
  const { SNAPSHOT_SECONDS: snapshotSeconds } = config;
  const detector = new Detector({
    connection,
    settings: detectionSettings(config),
    snapshots,
    prepare: async () => {
      await store.prepare();
      await snapshots.prepare();
    },
    alerts,
    snapshotSeconds,
    logger,
  });

  const server = new RequestServer({ connection, services: { alerts: alertOperations } });
  server.recordRefusalsWith((request, operation, refusal) => trail.refusal(request, operation, refusal));
  const recorded = new RecordedRequest(gate, trail, logger);
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(AppModule.with({ store, relay, recorded }), {
    strategy: server,
    logger,
    abortOnError: false,
  });
  const parts = { server, trail, store, detector, alerts, views: { sessions, policy }, snapshotSeconds };
  observeDetector(parts);
  await app.listen();
  const health = await serveHealth({ service, host: config.HEALTH_HOST, port: config.HEALTH_PORT, telemetry, checks: checks(parts) });
  detector.start();
  relay.start();
  logger.log(`${worker} takes requests; health on port ${health.port}`);

  const housekeeping = setInterval(() => sessions.prune(), 30_000);
  return [
    () => server.close(),
    () => detector.stop(),
    () => relay.stop(),
    () => trail.commit.stop(10_000),
    () => clearInterval(housekeeping),
    () => {
      sessions.stop();
      policy.stop();
    },
    () => app.close(),
    () => connection.drain(),
    () => client.close(),
    () => token.close(),
    () => health.close(),
    () => telemetry.shutdown(),
  ];
});
