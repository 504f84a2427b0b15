import type { KeyObject } from 'node:crypto';
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Evaluator, Gate } from '@claviger/authz';
import { type BundleView, type SessionsView, Trust } from '@claviger/contracts';
import { openEpoch, type Token, trustedSigner } from '@claviger/hsm';
import {
  AuditTrail,
  BrokerClock,
  Counters,
  connectToCore,
  importTrustedKeys,
  type KvView,
  openPolicyView,
  openSessionsView,
  type StateViewOptions,
} from '@claviger/messaging';
import { type CoreConfiguration, readJsonFile, startTelemetry, type Telemetry } from '@claviger/operability';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import { BundleSwap } from './bundle-swap';
import { CountedUses } from './counted-uses';
import { openToken, type TokenReach } from './open-token';
import { QuotaTales } from './quota-tales';
import { Quotas } from './quotas';
import { RefusedState } from './refused-state';

/** The first bundle takes about a second to be read and checked. */
const readyWaitMs = 5_000;

export interface CoreServiceOptions {
  service: string;
  /** Begins the worker id when WORKER_ID does not say one. */
  short: string;
  config: CoreConfiguration;
  /** Label of the token's key that certifies batch keys. */
  certifier: string;
  /** Of its token; near when left out. */
  reach?: TokenReach;
  logger: LoggerService;
}

/** What every service of the CORE account is made of: its token, its chain of records, and what it needs to know who asks and whether they may. */
export interface CoreService {
  service: string;
  /** Unique per process. */
  worker: string;
  trust: Trust;
  /** Control keys of the trust file. */
  trusted: ReadonlyMap<string, KeyObject>;
  telemetry: Telemetry;
  token: Token;
  connection: NatsConnection;
  /**
   * One more connection of this service, drained with the first. A process under load takes requests on one of its own: what must not wait behind
   * them (a suspension, an audit acknowledgement, a probe) then does not.
   */
  connect: () => Promise<NatsConnection>;
  trail: AuditTrail;
  /** Hears of state that somebody else than its owner made; the views tell it themselves. */
  refusedState: RefusedState;
  /** For further views of this process. */
  viewOptions: StateViewOptions;
  sessions: KvView<SessionsView>;
  policy: KvView<BundleView>;
  evaluator: Evaluator;
  /** Puts the bundles of `policy` in force in `evaluator`. */
  bundles: BundleSwap;
  gate: Gate;
  quotas: Quotas;
  quotaTales: QuotaTales;
  /** The broker's time, by which the windows of quotas begin. */
  clock: BrokerClock;
  counters: Counters;
  /** Resolves when sessions and policies are fresh and the bundle is in force: requests can be answered. */
  ready: () => Promise<void>;
  /** As `ready`, for some seconds at most: a service that does without policy is there then all the same, and refuses whom it cannot judge. */
  soonReady: () => Promise<void>;
  /** Drain steps, in the order in which a service runs them around its own. */
  drain: { records: () => Promise<void>; views: () => void; connection: () => Promise<void>; rest: () => Promise<void> };
}

export async function openCoreService({ service, short, config, certifier, reach, logger }: CoreServiceOptions): Promise<CoreService> {
  const trust = readJsonFile('TRUST_FILE', config.TRUST_FILE, Trust);
  const worker = config.WORKER_ID ?? `${short}-${randomBytes(4).toString('hex')}`;
  const telemetry = await startTelemetry(service);
  const token = await openToken(config, certifier, reach);
  if (token.family === 'softhsm') logger.warn('SoftHSM keeps keys in the memory of this process: for trials, not for keys that matter');
  const signer = trustedSigner(token, certifier, trust.certifiers);

  let draining = false;
  const connections: NatsConnection[] = [];
  const connect = async () => {
    const opened = await connectToCore({
      servers: config.NATS_URL,
      nkeySeedFile: config.NATS_NKEY_FILE,
      service,
      tls: { caFile: config.NATS_TLS_CA_FILE, certFile: config.NATS_TLS_CERT_FILE, keyFile: config.NATS_TLS_KEY_FILE },
    });
    connections.push(opened);
    // It reconnects for ever by itself; closed for good, this process is of no use and whoever runs it starts another.
    void opened.closed().then((error) => {
      if (draining) return;
      logger.fatal?.(`the connection to the broker is closed: ${error ? String(error) : 'no reason given'}`);
      process.exit(1);
    });
    return opened;
  };
  const connection = await connect();
  const trail = new AuditTrail({ connection, service, worker, openEpoch: () => openEpoch(token, signer) });

  const trusted = importTrustedKeys(trust.control);
  const holder = `${service}.${worker}`;
  const refusedState = new RefusedState(trail, logger, holder);
  refusedState.start();
  const viewOptions: StateViewOptions = {
    connection,
    holder,
    trusted,
    onRefused: (refused) => refusedState.add(refused),
    onTrouble: (what) => logger.warn(`view: ${what}`),
    markMaxAgeMs: config.STATE_MARK_MAX_AGE_SECONDS * 1_000,
  };
  const sessions = openSessionsView(viewOptions);
  const clock = new BrokerClock();
  const policy = openPolicyView({ ...viewOptions, onProbe: (sentAt, storedMs) => clock.observe(sentAt, storedMs) });
  const evaluator = new Evaluator();
  const bundles = new BundleSwap({ evaluator, logger });
  policy.onChange((view) => bundles.follow(view));
  const counters = new Counters(connection);
  const quotaTales = new QuotaTales({ counters, trail, holder, logger });
  const uses = new CountedUses({
    counters,
    nowMs: () => clock.nowMs(),
    workers: () => policy.liveHolders().filter((name) => name.startsWith(`${service}.`)).length,
    onPutBack: (count, window) => quotaTales.putBack(count, window),
    onFailure: (what, error) => logger.warn(`quotas: ${what}: ${String(error)}`),
  });
  uses.start();
  const quotas = new Quotas({ uses, evaluator, onRefused: (refused) => quotaTales.refused(refused) });
  const gate = new Gate({ sessions, policy: { fresh: () => policy.fresh() && bundles.inForce() }, evaluator, quotas });
  await Promise.all([sessions.start(), policy.start()]);
  const prune = setInterval(() => sessions.prune(), 30_000);

  const ready = async () => {
    await Promise.all([sessions.whenFresh(), policy.whenFresh()]);
    await bundles.settled();
  };
  return {
    service,
    worker,
    trust,
    trusted,
    telemetry,
    token,
    connection,
    connect,
    trail,
    refusedState,
    viewOptions,
    sessions,
    policy,
    evaluator,
    bundles,
    gate,
    quotas,
    quotaTales,
    clock,
    counters,
    ready,
    soonReady: () => Promise.race([ready(), delay(readyWaitMs, undefined, { ref: false })]),
    drain: {
      records: async () => {
        await uses.stop();
        await refusedState.stop();
        await trail.commit.stop(10_000);
      },
      views: () => {
        clearInterval(prune);
        sessions.stop();
        policy.stop();
      },
      connection: async () => {
        draining = true;
        // One that is away drains nothing; the others do.
        await Promise.allSettled(connections.map((c) => c.drain()));
      },
      rest: async () => {
        await bundles.stop();
        token.close();
        await telemetry.shutdown();
      },
    },
  };
}
