import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { Evaluator, Gate } from '@claviger/authz';
import { type BundleView, policyOperations, type SessionView, Trust } from '@claviger/contracts';
import { tokenKeyLabels } from '@claviger/hsm';
import {
  AuditTrail,
  connectToCore,
  importTrustedKeys,
  KvOwner,
  openPolicyView,
  openSessionsView,
  RequestServer,
  recordTypes,
  revisionReader,
} from '@claviger/messaging';
import { readConfiguration, readJsonFile, runService, serveHealth, startTelemetry } from '@claviger/operability';
import { openToken } from '@claviger/service';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Admission } from './admission';
import { AppModule } from './app.module';
import { BundleKeeper } from './bundle-keeper';
import { BundleStore } from './bundle-store';
import { Callout } from './callout';
import { CalloutWire } from './callout-wire';
import { Config, OidcIssuers as OidcConfiguration } from './config';
import { ControlToken } from './control-token';
import { Credentials } from './credentials';
import { checks } from './health';
import { observePolicy } from './metrics';
import { OidcIssuers } from './oidc';
import { PersonalValues } from './personal-values';
import { RecordedReply } from './recorded-reply';
import { RefusedAttempts } from './refused-attempts';
import { Registries } from './registries';
import { Revocation } from './revocation';
import { readSeed } from './seed';
import { Sessions } from './sessions';
import { Violations } from './violations';

const service = 'policy';
const { show, publish, ...access } = policyOperations;

await runService(service, async (logger) => {
  const config = readConfiguration(Config);
  const trust = readJsonFile('TRUST_FILE', config.TRUST_FILE, Trust);
  const issuers = config.OIDC_ISSUERS_FILE ? readJsonFile('OIDC_ISSUERS_FILE', config.OIDC_ISSUERS_FILE, OidcConfiguration) : [];
  const wire = CalloutWire.fromFiles(config.CALLOUT_ISSUER_FILE, config.CALLOUT_XKEY_FILE);
  const worker = config.WORKER_ID ?? `p-${randomBytes(4).toString('hex')}`;
  const telemetry = startTelemetry(service);
  const token = new ControlToken(openToken(config, tokenKeyLabels.control.certifier), trust);
  const connection = await connectToCore({
    servers: config.NATS_URL,
    nkeySeedFile: config.NATS_NKEY_FILE,
    service,
    tls: { caFile: config.NATS_TLS_CA_FILE, certFile: config.NATS_TLS_CERT_FILE, keyFile: config.NATS_TLS_KEY_FILE },
  });
  const trail = new AuditTrail({ connection, service, worker, openEpoch: () => token.openEpoch() });

  const trusted = importTrustedKeys(trust.control);
  const holder = `${service}.${worker}`;
  const view = { connection, holder, trusted, onRefused: (what: string) => logger.warn(`view: ${what}`) };
  const sessionsView = openSessionsView(view);
  const policyView = openPolicyView(view);
  const evaluator = new Evaluator();
  const registries = new Registries(evaluator, logger);
  const sessions = new Sessions(
    new KvOwner<SessionView>(connection, 'sessions', recordTypes.sessions, token.signer, revisionReader('sessions', trusted)),
    sessionsView,
    logger,
  );
  const revocation = new Revocation(connection, sessions, trail, logger);
  policyView.onChange((bundle) => {
    registries.apply(bundle);
    void endSessionsWithoutPrincipal();
  });
  const store = BundleStore.open(config.MONGODB_URL, config.MONGODB_DATABASE, trusted);
  const bundles = new BundleKeeper({
    connection,
    store,
    owner: new KvOwner<BundleView>(connection, 'policy', recordTypes.policy, token.signer, revisionReader('policy', trusted)),
    view: policyView,
    signer: token.signer,
    seed: () => (config.POLICY_SEED_DIR ? readSeed(config.POLICY_SEED_DIR, new Date()) : undefined),
    logger,
  });
  await policyView.start();
  await bundles.start();
  await sessions.start();
  void endSessionsWithoutPrincipal();

  const policyFresh = () => policyView.fresh() && evaluator.current !== undefined;
  const gate = new Gate({ sessions: sessionsView, policy: { fresh: policyFresh }, evaluator });
  const oidc = new OidcIssuers(issuers, (issuer, error) => logger.warn(`oidc: the keys of ${issuer} cannot be fetched: ${String(error)}`));
  const personal = new PersonalValues(connection, logger);
  const attempts = new RefusedAttempts(trail, personal, logger);
  const admission = new Admission({
    credentials: new Credentials(trusted, oidc),
    registries,
    evaluator,
    sessions,
    policyFresh,
    trail,
    personal,
  });
  const callout = new Callout(connection, wire, admission, attempts, logger);
  const violations = config.BROKER_LOG_FILE
    ? new Violations(config.BROKER_LOG_FILE, (id) => sessionsView.get(id), trail, logger)
    : undefined;

  const server = new RequestServer({ connection, services: { policy: { show, publish }, access } });
  server.recordRefusalsWith((request, operation, refusal) => trail.refusal(request, operation, refusal));
  const recorded = new RecordedReply(gate, evaluator, trail, logger);
  const parts = { recorded, bundles, evaluator, gate, token, registries, sessions, revocation };
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(AppModule.with(parts), {
    strategy: server,
    logger,
    abortOnError: false,
  });
  const watched = { server, callout, trail, token, evaluator, bundles, views: { sessions: sessionsView, policy: policyView } };
  observePolicy({ ...watched, sessions, personal });
  const health = await serveHealth({ service, host: config.HEALTH_HOST, port: config.HEALTH_PORT, telemetry, checks: checks(watched) });
  attempts.start();
  await violations?.start();
  logger.log(`${worker} started; health on port ${health.port}`);
  // A replica that cannot decide yet leaves it to one that can.
  void Promise.all([sessionsView.whenFresh(), policyView.whenFresh()]).then(async () => {
    await app.listen();
    callout.start();
    logger.log(`${worker} admits callers and takes requests`);
  });

  /** A principal that the bundle in force no longer knows or has disabled keeps no connection. */
  async function endSessionsWithoutPrincipal(): Promise<void> {
    const { current } = registries;
    if (!current) return;
    for (const session of sessions.live())
      if (!current.enabled(session.principal))
        await revocation
          .revoke(session, service, 'the principal is disabled or gone')
          .catch((error) => logger.error(`revocation: ${String(error)}`));
  }

  return [
    () => callout.stop(),
    () => server.close(),
    () => violations?.stop(),
    () => attempts.stop(),
    () => trail.commit.stop(10_000),
    () => personal.stop(),
    () => bundles.stop(),
    () => sessions.stop(),
    () => oidc.stop(),
    () => app.close(),
    () => connection.drain(),
    () => store.close(),
    () => token.close(),
    () => health.close(),
    () => telemetry.shutdown(),
  ];
});
