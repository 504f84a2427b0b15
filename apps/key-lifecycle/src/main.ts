import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { Evaluator, Gate } from '@claviger/authz';
import { type KekView, type KeyView, keyOperations, Trust } from '@claviger/contracts';
import { openEpoch, readPin, Token, tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import {
  AuditTrail,
  connectToCore,
  importTrustedKeys,
  KvOwner,
  OutboxRelay,
  openKeysView,
  openPolicyView,
  openSessionsView,
  RequestServer,
  recordTypes,
  revisionReader,
} from '@claviger/messaging';
import { readConfiguration, readJsonFile, runService, serveHealth, startTelemetry } from '@claviger/operability';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { MongoClient } from 'mongodb';
import { AppModule } from './app.module';
import { Config } from './config';
import { sweepDeletions } from './deletion-sweep';
import { Delivery } from './delivery';
import { checks } from './health';
import { KeyCommands } from './key-commands';
import { KeyStore } from './key-store';
import { observeLifecycle } from './metrics';
import { Propagation } from './propagation';
import { rebuildView } from './rebuild';
import { RecordedCommand } from './recorded-command';
import { SignedDocuments } from './signed-documents';

const service = 'key-lifecycle';

await runService(service, async (logger) => {
  const config = readConfiguration(Config);
  const trust = readJsonFile('TRUST_FILE', config.TRUST_FILE, Trust);
  const worker = config.WORKER_ID ?? `kl-${randomBytes(4).toString('hex')}`;
  const telemetry = startTelemetry(service);

  const token = Token.open({
    libraryPath: config.PKCS11_LIBRARY,
    tokenLabel: config.HSM_TOKEN_LABEL,
    pin: readPin(config.HSM_PIN_FILE),
    canary: tokenKeyLabels.control.signing,
  });
  const signer = trustedSigner(token, tokenKeyLabels.control.signing, trust.control);
  const certifier = trustedSigner(token, tokenKeyLabels.control.certifier, trust.certifiers);
  const trusted = importTrustedKeys(trust.control);

  const mongo = new MongoClient(config.MONGODB_URL, {
    serverSelectionTimeoutMS: 3_000,
    socketTimeoutMS: 10_000,
    writeConcern: { w: 'majority', journal: true },
  });
  const store = new KeyStore(mongo.db(config.MONGODB_DATABASE), new SignedDocuments(signer, trusted));

  const connection = await connectToCore({
    servers: config.NATS_URL,
    nkeySeedFile: config.NATS_NKEY_FILE,
    service,
    tls: { caFile: config.NATS_TLS_CA_FILE, certFile: config.NATS_TLS_CERT_FILE, keyFile: config.NATS_TLS_KEY_FILE },
  });
  const trail = new AuditTrail({ connection, service, worker, openEpoch: () => openEpoch(token, certifier) });

  const holder = `${service}.${worker}`;
  const view = { connection, holder, trusted, onRefused: (what: string) => logger.warn(`view: ${what}`) };
  const sessions = openSessionsView(view);
  const policy = openPolicyView(view);
  const keyView = openKeysView(view);
  const evaluator = new Evaluator();
  policy.onChange(({ bundle, revision }) => {
    const loaded = evaluator.load(bundle);
    if (loaded.ok) logger.log(`policy bundle ${revision} is in force`);
    else logger.error(`policy bundle ${revision} refused: ${loaded.issues.map((i) => i.message).join('; ')}`);
  });
  const gate = new Gate({ sessions, policy: { fresh: () => policy.fresh() && evaluator.current !== undefined }, evaluator });
  await Promise.all([sessions.start(), policy.start(), keyView.start()]);

  const owner = new KvOwner<KeyView | KekView>(connection, 'keys', recordTypes.keys, signer, revisionReader('keys', trusted));
  await owner.start();
  const delivery = new Delivery(connection, owner, store);
  const relay = new OutboxRelay(store, delivery.deliver, logger);
  const propagation = new Propagation(connection, keyView);
  propagation.start();
  const commands = new KeyCommands(connection, store, delivery, relay, propagation);

  let rebuilt = false;
  const rebuilding = (async () => {
    for (let attempt = 0; !rebuilt && !connection.isClosed(); attempt++) {
      try {
        await store.createIndexes();
        const count = await rebuildView(store, delivery, logger);
        rebuilt = true;
        logger.log(`the bucket holds ${count} keys as the document store has them`);
        owner.keepMark(keyView);
        await owner.sign(keyView);
        relay.start();
      } catch (error) {
        if (attempt % 10 === 0) logger.warn(`the view of keys cannot be rebuilt yet: ${String(error)}`);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    }
  })();

  const server = new RequestServer({ connection, services: { keys: keyOperations } });
  server.recordRefusalsWith((request, operation, refusal) => trail.refusal(request, operation, refusal));
  const recorded = new RecordedCommand(gate, trail);
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(AppModule.with({ recorded, commands, store }), {
    strategy: server,
    logger,
    abortOnError: false,
  });
  const parts = { server, trail, token, store, views: { sessions, policy, keys: keyView }, rebuilt: () => rebuilt };
  observeLifecycle(parts);
  const health = await serveHealth({ service, host: config.HEALTH_HOST, port: config.HEALTH_PORT, telemetry, checks: checks(parts) });
  await app.listen();
  logger.log(`${worker} takes requests; health on port ${health.port}`);

  const sweep = setInterval(
    () => void sweepDeletions(commands, trail, logger, Date.now()).catch((error) => logger.warn(`deletion sweep: ${String(error)}`)),
    config.DELETION_SWEEP_SECONDS * 1_000,
  );
  const prune = setInterval(() => sessions.prune(), 30_000);
  return [
    () => server.close(),
    () => {
      clearInterval(sweep);
      clearInterval(prune);
    },
    () => relay.stop(),
    () => trail.commit.stop(10_000),
    () => {
      owner.stop();
      propagation.stop();
      for (const v of [sessions, policy, keyView]) v.stop();
    },
    () => app.close(),
    () => connection.drain(),
    () => rebuilding,
    () => mongo.close(),
    () => token.close(),
    () => health.close(),
    () => telemetry.shutdown(),
  ];
});
