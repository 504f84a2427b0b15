import 'reflect-metadata';
import {
  accessLifecycleOperations,
  accessOperations,
  type BundleView,
  changeOperations,
  elevationOperations,
  explainOperations,
  guardOperations,
  policyOperations,
  quotaOperations,
  reviewOperations,
  type SessionsView,
} from '@claviger/contracts';
import { tokenKeyLabels, trustedSigner } from '@claviger/hsm';
import { KvOwner, RequestServer, recordTypes, revisionReader } from '@claviger/messaging';
import { readConfiguration, readJsonFile, runService, serveHealth } from '@claviger/operability';
import { admitPackedBy, Changes, coreChecks, OwedRecords, observeCore, openCoreService, RecordedReply } from '@claviger/service';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Activities } from './activities';
import { Admission } from './admission';
import { AppModule } from './app.module';
import { BundleKeeper } from './bundle-keeper';
import { BundleStore } from './bundle-store';
import { Callout } from './callout';
import { CalloutWire } from './callout-wire';
import { ChangeKeeper } from './change-keeper';
import { ChangeStore } from './change-store';
import { Config } from './config';
import { Credentials } from './credentials';
import { ElevationSweep } from './elevation-sweep';
import { eventRelay } from './event-relay';
import { Granting } from './granting';
import { policyChecks } from './health';
import { KeyFacts } from './key-facts';
import { Logins } from './logins';
import { observePolicy } from './metrics';
import { OidcIssuers } from './oidc';
import { OidcIssuers as OidcConfiguration } from './oidc-config';
import { OpenGuards } from './open-guards';
import { OverdueReviews } from './overdue-reviews';
import { PersonalValues } from './personal-values';
import { QuotaCounts } from './quota-counts';
import { RefusedAttempts } from './refused-attempts';
import { Registries } from './registries';
import { Review } from './review';
import { ReviewDocuments } from './review-documents';
import { Revocation } from './revocation';
import { readSeed } from './seed';
import { Sessions } from './sessions';
import { SignedStore } from './signed-store';
import { Standing } from './staleness';
import { Standings } from './standings';
import { TokenIssuer } from './token-issuer';
import { TokenKeyKeeper } from './token-key-keeper';
import { jwksMaxAgeSeconds } from './token-keys';
import { TrustDomainConfiguration, TrustDomains } from './trust-domains';
import { UnusedAccess } from './unused-access';
import { Violations } from './violations';

const service = 'policy';
const { show, publish, ...access } = policyOperations;

await runService(service, async (logger) => {
  const config = readConfiguration(Config);
  const issuers = config.OIDC_ISSUERS_FILE ? readJsonFile('OIDC_ISSUERS_FILE', config.OIDC_ISSUERS_FILE, OidcConfiguration) : [];
  const trustDomainsFile = config.SPIFFE_TRUST_DOMAINS_FILE;
  const trustDomains = trustDomainsFile
    ? new TrustDomains(readJsonFile('SPIFFE_TRUST_DOMAINS_FILE', trustDomainsFile, TrustDomainConfiguration), logger)
    : undefined;
  const wire = CalloutWire.fromFiles(config.CALLOUT_ISSUER_FILE, config.CALLOUT_XKEY_FILE);
  const core = await openCoreService({ service, short: 'p', config, certifier: tokenKeyLabels.control.certifier, logger });
  const { connection, trail, trusted, evaluator } = core;
  const signer = trustedSigner(core.token, tokenKeyLabels.control.signing, core.trust.control);

  const sessionsOwner = new KvOwner<SessionsView>(
    connection,
    'sessions',
    recordTypes.sessions,
    signer,
    revisionReader('sessions', trusted),
  );
  const sessions = new Sessions(sessionsOwner, core.sessions, logger);
  const logins = new Logins(sessionsOwner, core.sessions, config.AUTHENTICATION_MAX_AGE_SECONDS * 1_000);
  const revocation = new Revocation(connection, sessions, logins, trail, logger);
  const tokenKeys = new TokenKeyKeeper({
    token: core.token,
    owner: sessionsOwner,
    view: core.sessions,
    control: trusted,
    trail,
    everyMs: config.TOKEN_KEY_DAYS * 86_400_000,
    logger,
  });
  const registries = new Registries(evaluator);
  registries.follow();
  core.bundles.onInForce(() => {
    registries.follow();
    void endSessionsWithoutPrincipal();
  });
  const store = BundleStore.open(config.MONGODB_URL, config.MONGODB_DATABASE, trusted);
  const onTampered = (key: string, detail: string) => core.refusedState.add({ bucket: 'store', key, reason: 'tampered-document', detail });
  const bundles = new BundleKeeper({
    connection,
    store,
    owed: new OwedRecords({ source: store, trail, signer, trusted, onTampered, logger, dueAfterMs: config.OWED_RECORD_SECONDS * 1_000 }),
    trail,
    owner: new KvOwner<BundleView>(connection, 'policy', recordTypes.policy, signer, revisionReader('policy', trusted)),
    view: core.policy,
    signer,
    validate: (bundle) => core.bundles.validate(bundle),
    reached: (revision) => core.bundles.reached(revision),
    seed: () => (config.POLICY_SEED_DIR ? readSeed(config.POLICY_SEED_DIR, new Date()) : undefined),
    onTampered,
    logger,
  });
  const keptClient = SignedStore.client(config.MONGODB_URL);
  const kept = { client: keptClient, database: config.MONGODB_DATABASE, signer, trusted, onTampered };
  const owing = { trail, signer, trusted, onTampered, logger, dueAfterMs: config.OWED_RECORD_SECONDS * 1_000 };
  const reviews = new SignedStore<Review>({
    ...kept,
    collection: 'reviews',
    typ: 'claviger-access-review+jws',
    parse: (value) => Review.parse(value),
  });
  const reviewsOwed = new OwedRecords({ ...owing, source: reviews });
  const reviewEvents = eventRelay(reviews, connection, logger, 'events of reviews');
  const overdue = new OverdueReviews(reviews, trail, logger);
  const standings = new SignedStore<Standing>({
    ...kept,
    collection: 'standings',
    typ: 'claviger-access-standing+jws',
    parse: (value) => Standing.parse(value),
  });
  const standingsOwed = new OwedRecords({ ...owing, source: standings });
  const standingEvents = eventRelay(standings, connection, logger, 'events of unused access');
  const activities = new Activities(connection);
  const unused = new UnusedAccess({ store: standings, owed: standingsOwed, bundles, evaluator, activities, trail, logger });
  await bundles.start();
  const held = new Changes(core, signer, logger);
  const changeStore = ChangeStore.open(
    ...([config.MONGODB_URL, config.MONGODB_DATABASE, signer, trusted] as const),
    (id) => held.view.held(id)?.revision,
    onTampered,
  );
  const owedOfChanges = new OwedRecords({
    ...{ source: changeStore, trail, signer, trusted, onTampered, logger },
    dueAfterMs: config.OWED_RECORD_SECONDS * 1_000,
  });
  const changes = new ChangeKeeper({
    ...{ connection, store: changeStore, owed: owedOfChanges, owner: held.owner, view: held.view, people: evaluator, trusted, logger },
  });
  void held.start().then(() => changes.start());
  const forget = async () => {
    await logins.forget();
    await tokenKeys.withdraw();
  };
  await sessions.start({ forget, end: (ended, reason) => revocation.end(ended, reason) });
  revocation.follow(core.sessions);
  void endSessionsWithoutPrincipal();

  const oidc = new OidcIssuers(issuers, (issuer, error) => logger.warn(`oidc: the keys of ${issuer} cannot be fetched: ${String(error)}`));
  const personal = new PersonalValues(connection, logger);
  const attempts = new RefusedAttempts(trail, personal, logger);
  const policyFresh = () => core.policy.fresh() && core.bundles.inForce();
  const credentials = new Credentials(() => tokenKeys.trusted(), oidc, trustDomains);
  const admission = new Admission({ credentials, registries, evaluator, sessions, logins, policyFresh, trail, personal });
  const callout = new Callout(connection, wire, admission, attempts, logger);
  const logFile = config.BROKER_LOG_FILE;
  const violations = logFile ? new Violations(logFile, (id) => sessions.held(id), trail, logger) : undefined;

  const server = new RequestServer({
    connection,
    services: {
      policy: { show, publish, ...explainOperations, ...guardOperations, ...quotaOperations },
      access: { ...access, ...accessOperations, ...accessLifecycleOperations, ...reviewOperations, ...elevationOperations },
      changes: changeOperations,
    },
    admitPacked: admitPackedBy(core.gate, trail),
  });
  server.recordRefusalsWith((request, operation, refusal) => trail.refusal(request, operation, refusal));
  const recorded = new RecordedReply(core.gate, trail, undefined, held.approved);
  const sweep = new ElevationSweep({ evaluator, bundles, trail, logger });
  const tokens = new TokenIssuer(() => tokenKeys.signer(), logins);
  const quotaCounts = new QuotaCounts(core.counters, () => core.clock.nowMs());
  const guards = new OpenGuards(evaluator, connection, logger);
  const parts = {
    guards,
    quotaCounts,
    recorded,
    bundles,
    changes,
    evaluator,
    trail,
    activities,
    reviews: new ReviewDocuments(reviews, reviewsOwed),
    standings: new Standings(standings, standingsOwed),
    tokens,
    tokenKeys,
    registries,
    sessions,
    revocation,
    granting: new Granting(bundles, evaluator),
    keyFacts: new KeyFacts(connection, trusted),
  };
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(AppModule.with(parts), {
    strategy: server,
    logger,
    abortOnError: false,
  });
  const views = { sessions: core.sessions, policy: core.policy };
  observeCore(core, server, views);
  observePolicy(bundles, sessions, personal);
  const health = await serveHealth({
    service,
    host: config.HEALTH_HOST,
    port: config.HEALTH_PORT,
    telemetry: core.telemetry,
    checks: [...coreChecks(core, server, views), ...policyChecks(callout, evaluator, bundles, tokenKeys, guards)],
    pages: {
      '/jwks': {
        contentType: 'application/jwk-set+json',
        maxAgeSeconds: jwksMaxAgeSeconds,
        body: () => tokenKeys.jwkSet(),
      },
    },
  });
  attempts.start();
  reviewEvents.start();
  reviewsOwed.start();
  overdue.start(config.ACCESS_SWEEP_SECONDS * 1_000);
  sweep.start(config.ACCESS_SWEEP_SECONDS * 1_000);
  standingEvents.start();
  standingsOwed.start();
  unused.start(config.ACCESS_SWEEP_SECONDS * 1_000);
  await violations?.start();
  logger.log(`${core.worker} started; health on port ${health.port}`);
  // A replica that cannot decide yet leaves it to one that can.
  void core.ready().then(async () => {
    await tokenKeys.start();
    await app.listen();
    callout.start();
    guards.start();
    logger.log(`${core.worker} admits callers and takes requests`);
  });

  /** A principal that the bundle in force no longer knows or has disabled keeps no connection. */
  async function endSessionsWithoutPrincipal(): Promise<void> {
    const { current } = registries;
    if (!current) return;
    const orphaned = sessions.live().filter((session) => !current.enabled(session.principal));
    await revocation.end(orphaned, 'the principal is disabled or gone');
  }

  return [
    () => callout.stop(),
    () => server.close(),
    () => violations?.stop(),
    () => attempts.stop(),
    () => guards.stop(),
    () => overdue.stop(),
    () => sweep.stop(),
    () => unused.stop(),
    () => standingEvents.stop(),
    () => standingsOwed.stop(),
    () => reviewEvents.stop(),
    () => reviewsOwed.stop(),
    core.drain.records,
    () => personal.stop(),
    () => tokenKeys.stop(),
    () => bundles.stop(),
    () => changes.stop(),
    () => held.stop(),
    () => sessions.stop(),
    core.drain.views,
    () => oidc.stop(),
    () => app.close(),
    core.drain.connection,
    () => store.close(),
    () => keptClient.close(),
    () => changeStore.close(),
    () => health.close(),
    core.drain.rest,
  ];
});
