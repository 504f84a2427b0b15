import 'reflect-metadata';
import {
  backupHsmOperations,
  cryptoOperations,
  internalOperations,
  migrationHsmOperations,
  tokenHsmOperations,
  transportHsmOperations,
} from '@claviger/contracts';
import { probe, selfTest, tokenKeyLabels } from '@claviger/hsm';
import { askInternal, openKeysView, RequestServer } from '@claviger/messaging';
import { readConfiguration, runService, serveHealth } from '@claviger/operability';
import { coreChecks, observeCore, openCoreService, RecordedReply } from '@claviger/service';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { AppModule } from './app.module';
import { acknowledgeChanges } from './applied';
import { RecoveryKeys } from './backup-hsm.controller';
import { Config } from './config';
import { FurtherToken } from './further-token';
import { openFurtherToken, readFurtherTokens } from './further-tokens';
import { InvocationLeases } from './invocation-leases';
import { KeyEstablishment } from './key-establishment';
import { KeyHolder } from './key-holder';
import { observeHanging, observeKeys, observeRefusals } from './metrics';
import { HolderName, MigrationHsmController } from './migration-hsm.controller';
import { Operations } from './operations';
import { toProblem } from './problem';
import { RecordedUse } from './recorded-use';
import { RsaEncryption } from './rsa-encryption';
import { SeenTokens } from './seen-tokens';
import { answerSurveys } from './surveys';
import { TokenBreaker, type TokenEvent } from './token-breaker';
import { assertThreads, reachOf } from './token-reach';
import { Tokens } from './tokens';
import { Worker } from './tokens.controller';

const service = 'crypto-worker';
const leaseTimeoutMs = 2_000;
/** Key versions that this worker encrypts under at one time. */
const leasesMax = 100_000;

await runService(service, async (logger) => {
  const config = readConfiguration(Config);
  const listed = readFurtherTokens(config.FURTHER_TOKENS_FILE);
  // One list serves all workers, also those of which the first token is in it.
  const beside = listed.filter(({ label }) => label !== config.HSM_TOKEN_LABEL);
  assertThreads([config.HSM_DISTANCE, ...beside.map(({ distance = 'near' }) => distance)], config);
  const reach = reachOf(config.HSM_DISTANCE, config);
  const core = await openCoreService({ service, short: 'w', config, certifier: tokenKeyLabels.customer.certifier, reach, logger });
  const { worker, token, trail, sessions, policy, gate, connection } = core;
  logger.log(`self test ${JSON.stringify(selfTest(token))}`);

  const keyView = openKeysView(core.viewOptions, { atMost: config.KEYS_HELD_MAX });
  const report = (event: TokenEvent) => {
    // The first token signs the records: when that one fails, this one becomes durable once it is well.
    const later = (error: unknown) => logger.warn(`what happened to token ${event.token} is in the ledger later: ${String(error)}`);
    trail.append({ kind: 'token', ...event, holder: worker }).catch(later);
  };
  const probeEveryMs = config.HSM_PROBE_SECONDS * 1_000;
  const further = beside.map((entry) => {
    const open = async () => {
      const opened = await openFurtherToken(entry, config);
      logger.log(`self test of ${entry.label} ${JSON.stringify(opened.report)}`);
      return opened.token;
    };
    return new FurtherToken({ label: entry.label, open, probeEveryMs, report, logger });
  });
  const tokens = new Tokens(
    token,
    listed.map(({ label, region, retired }) => {
      const one = further.find((beside) => beside.label === label);
      return { label, region, retired, reached: () => one?.reached() ?? token };
    }),
    config.SITE_REGION,
  );
  await Promise.all(further.map((one) => one.start()));
  const keys = new KeyHolder(keyView, tokens, {
    capacity: config.UNWRAPPED_KEYS_MAX,
    ttlMs: config.UNWRAPPED_KEY_SECONDS * 1_000,
    onDestroyFailure: (error) => logger.warn(`an unwrapped key could not be destroyed: ${String(error)}`),
  });
  acknowledgeChanges(core, 'keys', keyView);
  await keyView.start();

  const server = new RequestServer({
    connection: await core.connect(),
    services: { crypto: cryptoOperations },
    internal: {
      hsm: {
        generateKek: internalOperations.generateKek,
        generateKey: internalOperations.generateKey,
        generateKeys: internalOperations.generateKeys,
        destroyKey: internalOperations.destroyKey,
        ...backupHsmOperations,
        ...transportHsmOperations,
        ...migrationHsmOperations,
        ...tokenHsmOperations,
        rewrapKeys: internalOperations.rewrapKeys,
        rewrapKek: internalOperations.rewrapKek,
        createRoot: internalOperations.createRoot,
        destroyRoot: internalOperations.destroyRoot,
      },
    },
    maxInFlight: config.REQUESTS_IN_FLIGHT_MAX,
  });
  server.recordRefusalsWith((request, operation, refusal) => trail.refusal(request, operation, refusal));
  const leases = new InvocationLeases(
    async (keyId, version, count) =>
      (await askInternal(connection, internalOperations.leaseInvocations, { keyId, version, count }, { timeoutMs: leaseTimeoutMs }))
        .granted,
    { capacity: leasesMax },
  );
  const breaker = new TokenBreaker({
    token: token.label,
    report,
    probe: () => probe(token),
    limits: {
      failures: config.HSM_BREAKER_FAILURES,
      windowMs: config.HSM_BREAKER_WINDOW_SECONDS * 1_000,
      probeEveryMs,
    },
    logger,
  });
  const problemOf = (error: unknown) => {
    breaker.observe(error);
    return toProblem(error);
  };
  const recorded = new RecordedUse(new RecordedReply(gate, trail, problemOf), keys, leases, breaker);
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(
    AppModule.with({
      tokens,
      keys,
      breaker,
      recorded,
      trail,
      worker: new Worker(worker),
      seen: new SeenTokens(
        tokens,
        () => keys.rootTokenLabels(),
        () => breaker.refuses,
      ),
      operations: new Operations(token, keys, leases, new RsaEncryption(keys)),
      establishment: new KeyEstablishment(keys),
      recovery: new RecoveryKeys(core.trust.recovery ?? {}),
      holder: new HolderName(core.viewOptions.holder),
    }),
    { strategy: server, logger, abortOnError: false },
  );
  const views = { sessions, policy, keys: keyView };
  observeCore(core, server, views);
  observeKeys(keys);
  observeRefusals([breaker, ...further]);
  observeHanging([token, ...further]);
  // The same token signs the records: when it does not, requests end before they reach it, and nobody else would tell the breaker.
  const { observe } = trail.commit;
  trail.commit.observe = (records, seconds, error) => {
    observe(records, seconds, error);
    if (error !== undefined) breaker.observe(error);
  };
  const health = await serveHealth({
    service,
    host: config.HEALTH_HOST,
    port: config.HEALTH_PORT,
    telemetry: core.telemetry,
    checks: [
      ...coreChecks(core, server, views),
      { name: 'hsm breaker', kind: 'ready', check: () => breaker.check() },
      ...further.map(({ check }) => check),
    ],
  });
  // Requests are taken only by a worker that can answer them; until then another one does.
  let draining = false;
  const serve = async () => {
    await Promise.all([core.ready(), keyView.whenFresh()]);
    if (draining) return;
    answerSurveys(connection, app.get(MigrationHsmController));
    await app.listen();
    logger.log(`${worker} takes requests; health on port ${health.port}`);
  };
  void serve().catch((error) => {
    // Deaf for good: whoever supervises this process starts another one.
    logger.error(`cannot take requests: ${String(error)}`);
    process.exit(1);
  });
  const housekeeping = setInterval(() => keys.forgetExpired(), 30_000);
  return [
    () => {
      draining = true;
      return server.close();
    },
    core.drain.records,
    () => {
      clearInterval(housekeeping);
      breaker.stop();
      keyView.stop();
    },
    core.drain.views,
    () => app.close(),
    core.drain.connection,
    () => health.close(),
    () => {
      for (const one of further) one.close();
    },
    core.drain.rest,
    () => {
      if ([token, ...further].every(({ hanging }) => hanging === 0)) return;
      // An exit would wait for the threads of calls that may never end. All that was promised is on disk.
      logger.warn('stopped while calls to a token hang');
      process.kill(process.pid, 'SIGKILL');
    },
  ];
});
