import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { Evaluator, Gate } from '@claviger/authz';
import { auditOperations, internalOperations, Trust } from '@claviger/contracts';
import { openEpoch, readPin, selfTest, Token, tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import { AuditTrail, connectToCore, importTrustedKeys, openPolicyView, openSessionsView, RequestServer } from '@claviger/messaging';
import { readConfiguration, readJsonFile, runService, serveHealth, startTelemetry } from '@claviger/operability';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { MongoClient } from 'mongodb';
import { AppModule } from './app.module';
import { checkpointSigner } from './checkpoint-key';
import { composeLedger } from './compose-ledger';
import { Config } from './config';
import type { Step } from './fold';
import { checks } from './health';
import { observeLedger } from './metrics';
import { PersonalStore } from './personal-store';

const service = 'audit';

await runService(service, async (logger) => {
  const config = readConfiguration(Config);
  const trust = readJsonFile('TRUST_FILE', config.TRUST_FILE, Trust);
  const worker = config.WORKER_ID ?? `a-${randomBytes(4).toString('hex')}`;
  const telemetry = startTelemetry(service);

  const token = Token.open({
    libraryPath: config.PKCS11_LIBRARY,
    tokenLabel: config.HSM_TOKEN_LABEL,
    pin: readPin(config.HSM_PIN_FILE),
    canary: tokenKeyLabels.ledger.certifier,
  });
  logger.log(`self test ${JSON.stringify(selfTest(token))}`);
  const signer = checkpointSigner(token, trust.ledger.vkey);
  const certifier = trustedSigner(token, tokenKeyLabels.ledger.certifier, trust.certifiers);

  const connection = await connectToCore({
    servers: config.NATS_URL,
    nkeySeedFile: config.NATS_NKEY_FILE,
    service,
    tls: { caFile: config.NATS_TLS_CA_FILE, certFile: config.NATS_TLS_CERT_FILE, keyFile: config.NATS_TLS_KEY_FILE },
  });
  const trail = new AuditTrail({ connection, service, worker, openEpoch: () => openEpoch(token, certifier) });

  const client = new MongoClient(config.MONGODB_URL, {
    appName: `claviger-${service}`,
    serverSelectionTimeoutMS: 2_000,
    connectTimeoutMS: 2_000,
    socketTimeoutMS: 30_000,
    writeConcern: { w: 'majority', journal: true },
    ignoreUndefined: true,
  });
  const db = client.db(config.MONGODB_DATABASE);
  const personal = new PersonalStore(db, config.PERSONAL_RETENTION_DAYS);
  let observe: ((step: Step) => (error?: unknown) => void) | undefined;
  const parts = await composeLedger({
    connection,
    db,
    trust,
    signer,
    checkpointEveryMs: config.CHECKPOINT_EVERY_MS,
    logger,
    observe: (step) => observe?.(step) ?? (() => undefined),
  });

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

  const server = new RequestServer({
    connection,
    services: { audit: auditOperations },
    internal: { audit: { personal: internalOperations.storePersonal } },
  });
  server.recordRefusalsWith((request, operation, refusal) => trail.refusal(request, operation, refusal));
  const { ledger, reader, checkpoints } = parts;
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(
    AppModule.with({ gate, trail, ledger, reader, checkpoints, personal }),
    { strategy: server, logger, abortOnError: false },
  );
  observe = observeLedger({ ...parts, server, trail }).step;
  // The ledger appends whether or not anybody may ask it: it does not wait for policy.
  ledger.start();
  await app.listen();
  const health = await serveHealth({
    service,
    host: config.HEALTH_HOST,
    port: config.HEALTH_PORT,
    telemetry,
    checks: checks({ ...parts, server, trail, token, views: { sessions, policy } }),
  });
  logger.log(`${worker} takes requests; health on port ${health.port}`);

  const housekeeping = setInterval(() => {
    sessions.prune();
    personal.eraseExpired().catch((error) => logger.warn(`expired personal values will be erased later: ${(error as Error).name}`));
  }, 60_000);
  return [
    () => server.close(),
    () => clearInterval(housekeeping),
    () => parts.stop(),
    () => trail.commit.stop(10_000),
    () => {
      for (const held of [sessions, policy]) held.stop();
    },
    () => app.close(),
    () => connection.drain(),
    () => client.close(),
    () => token.close(),
    () => health.close(),
    () => telemetry.shutdown(),
  ];
});
