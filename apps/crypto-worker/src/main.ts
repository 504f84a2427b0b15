import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { Evaluator, Gate } from '@claviger/authz';
import { cryptoOperations, internalOperations, Trust } from '@claviger/contracts';
import { openEpoch, readPin, selfTest, Token, tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import {
  AuditTrail,
  connectToCore,
  importTrustedKeys,
  openKeysView,
  openPolicyView,
  openSessionsView,
  RequestServer,
} from '@claviger/messaging';
import { readConfiguration, readJsonFile, runService, serveHealth, startTelemetry } from '@claviger/operability';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { AppModule } from './app.module';
import { acknowledgeChanges } from './applied';
import { Config } from './config';
import { checks } from './health';
import { KeyHolder } from './key-holder';
import { observeWorker } from './metrics';

const service = 'crypto-worker';

await runService(service, async (logger) => {
  const config = readConfiguration(Config);
  const trust = readJsonFile('TRUST_FILE', config.TRUST_FILE, Trust);
  const worker = config.WORKER_ID ?? `w-${randomBytes(4).toString('hex')}`;
  const telemetry = startTelemetry(service);

  const token = Token.open({
    libraryPath: config.PKCS11_LIBRARY,
    tokenLabel: config.HSM_TOKEN_LABEL,
    pin: readPin(config.HSM_PIN_FILE),
    canary: tokenKeyLabels.customer.certifier,
  });
  if (token.family === 'softhsm') logger.warn('SoftHSM keeps keys in the memory of this process: for trials, not for keys that matter');
  logger.log(`self test ${JSON.stringify(selfTest(token))}`);

  const connection = await connectToCore({
    servers: config.NATS_URL,
    nkeySeedFile: config.NATS_NKEY_FILE,
    service,
    tls: { caFile: config.NATS_TLS_CA_FILE, certFile: config.NATS_TLS_CERT_FILE, keyFile: config.NATS_TLS_KEY_FILE },
  });
  const certifier = trustedSigner(token, tokenKeyLabels.customer.certifier, trust.certifiers);
  const trail = new AuditTrail({ connection, service, worker, openEpoch: () => openEpoch(token, certifier) });

  const holder = `${service}.${worker}`;
  const view = { connection, holder, trusted: importTrustedKeys(trust.control), onRefused: (what: string) => logger.warn(`view: ${what}`) };
  const sessions = openSessionsView(view);
  const policy = openPolicyView(view);
  const keyView = openKeysView(view);
  const evaluator = new Evaluator();
  policy.onChange(({ bundle, revision }) => {
    const loaded = evaluator.load(bundle);
    if (loaded.ok) logger.log(`policy bundle ${revision} is in force`);
    else logger.error(`policy bundle ${revision} refused: ${loaded.issues.map((i) => i.message).join('; ')}`);
  });
  const keys = new KeyHolder(keyView, token, {
    capacity: config.UNWRAPPED_KEYS_MAX,
    ttlMs: config.UNWRAPPED_KEY_SECONDS * 1_000,
    onDestroyFailure: (error) => logger.warn(`an unwrapped key could not be destroyed: ${String(error)}`),
  });
  const gate = new Gate({ sessions, policy: { fresh: () => policy.fresh() && evaluator.current !== undefined }, evaluator });
  acknowledgeChanges(connection, 'keys', holder, keyView, trail);
  acknowledgeChanges(connection, 'sessions', holder, sessions, trail);
  await Promise.all([sessions.start(), policy.start(), keyView.start()]);

  const server = new RequestServer({
    connection,
    services: { crypto: cryptoOperations },
    internal: { hsm: { generateKek: internalOperations.generateKek, generateKey: internalOperations.generateKey } },
    maxInFlight: config.REQUESTS_IN_FLIGHT_MAX,
  });
  server.recordRefusalsWith((request, operation, refusal) => trail.refusal(request, operation, refusal));
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(AppModule.with({ token, keys, gate, trail }), {
    strategy: server,
    logger,
    abortOnError: false,
  });
  const parts = { server, trail, views: { sessions, policy, keys: keyView }, token, keys };
  observeWorker(parts);
  const health = await serveHealth({ service, host: config.HEALTH_HOST, port: config.HEALTH_PORT, telemetry, checks: checks(parts) });
  // Requests are taken only by a worker that can answer them; until then another one does.
  void Promise.all([sessions.whenFresh(), policy.whenFresh(), keyView.whenFresh()]).then(async () => {
    await app.listen();
    logger.log(`${worker} takes requests; health on port ${health.port}`);
  });

  const housekeeping = setInterval(() => {
    sessions.prune();
    keys.forgetExpired();
  }, 30_000);
  return [
    () => server.close(),
    () => trail.commit.stop(10_000),
    () => clearInterval(housekeeping),
    () => {
      for (const view of [sessions, policy, keyView]) view.stop();
    },
    () => app.close(),
    () => connection.drain(),
    () => token.close(),
    () => health.close(),
    () => telemetry.shutdown(),
  ];
});
