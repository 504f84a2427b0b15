import 'reflect-metadata';
import { auditOperations, internalOperations, reportOperations } from '@claviger/contracts';
import { tokenKeyLabels } from '@claviger/hsm';
import { RequestServer } from '@claviger/messaging';
import { readConfiguration, runService, serveHealth, storeOptions } from '@claviger/operability';
import { coreChecks, observeCore, openCoreService, RecordedReply, SystemReplies } from '@claviger/service';
import { NestFactory } from '@nestjs/core';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { MongoClient } from 'mongodb';
import { AppModule } from './app.module';
import { CeremonyRecords } from './ceremony-records';
import { checkpointSigner } from './checkpoint-key';
import { composeLedger } from './compose-ledger';
import { Config } from './config';
import type { Step } from './fold';
import { checks } from './health';
import { observeLedger } from './metrics';
import { PersonalStore } from './personal-store';
import { toProblem } from './problem';

const service = 'audit';

await runService(service, async (logger) => {
  const config = readConfiguration(Config);
  const core = await openCoreService({ service, short: 'a', config, certifier: tokenKeyLabels.ledger.certifier, logger });
  const { worker, trust, token, connection, trail, gate, sessions, policy } = core;
  const signer = checkpointSigner(token, trust.ledger.vkey);

  const client = new MongoClient(config.MONGODB_URL, { ...storeOptions, appName: `claviger-${service}` });
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

  const server = new RequestServer({
    connection,
    services: { audit: { ...auditOperations, ...reportOperations } },
    internal: {
      audit: {
        personal: internalOperations.storePersonal,
        lastUses: internalOperations.lastUses,
        lastActivities: internalOperations.lastActivities,
      },
    },
  });
  server.recordRefusalsWith((request, operation, refusal) => trail.refusal(request, operation, refusal));
  const { ledger, reader, checkpoints } = parts;
  const replies = new SystemReplies(new RecordedReply(gate, trail, toProblem));
  const app = await NestFactory.createMicroservice<MicroserviceOptions>(
    AppModule.with({ replies, ledger, reader, checkpoints, personal, ceremonies: new CeremonyRecords(trail, trust) }),
    { strategy: server, logger, abortOnError: false },
  );
  const views = { sessions, policy };
  observeCore(core, server, views);
  observe = observeLedger(parts).step;
  // The ledger appends whether or not anybody may ask it: it does not wait for policy.
  ledger.start();
  await core.soonReady();
  await app.listen();
  const health = await serveHealth({
    service,
    host: config.HEALTH_HOST,
    port: config.HEALTH_PORT,
    telemetry: core.telemetry,
    checks: [...coreChecks(core, server, views), ...checks(parts)],
  });
  logger.log(`${worker} takes requests; health on port ${health.port}`);

  const housekeeping = setInterval(() => {
    personal
      .prepare()
      .then(() => personal.eraseExpired())
      .catch((error) => logger.warn(`expired personal values will be erased later: ${(error as Error).name}`));
  }, 60_000);
  return [
    () => server.close(),
    () => clearInterval(housekeeping),
    () => parts.stop(),
    core.drain.records,
    core.drain.views,
    () => app.close(),
    core.drain.connection,
    () => client.close(),
    () => health.close(),
    core.drain.rest,
  ];
});
