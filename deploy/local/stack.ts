import { appendFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tokenOf } from '@claviger/installation';
import type { ServiceName } from '@claviger/messaging';
import {
  type Broker,
  builtProgram,
  type Child,
  type DocumentStore,
  readMachine,
  runCommand,
  startBroker,
  startChild,
  startDocumentStore,
  until,
  workspaceRoot,
} from '@claviger/testing';
import { addKryopticToken, customerTokenIn } from './kryoptic-token';

export interface StackPrincipal {
  id: string;
  kind: 'person' | 'service';
  roles: string[];
  displayName?: string;
  /** The first token says that it was got with more than one factor. */
  mfa?: boolean;
}

export interface StackOptions {
  /** Everything lies here; started again in it, the system is as it was. */
  dir: string;
  /** In the policy bundle of the first start. */
  principals: StackPrincipal[];
  /** Cedar, added to the starter policies at the first start. */
  morePolicies?: string;
  workers?: number;
  /** Environment of every service, such as OTEL_EXPORTER_OTLP_ENDPOINT. */
  env?: Record<string, string>;
  /** More for one service. */
  serviceEnv?: Partial<Record<ServiceName, Record<string, string>>>;
  report?: (line: string) => void;
  /** A kryoptic library: the workers' keys are in a token of it, and in no other. For a new `dir`. */
  customerLibrary?: string;
  /** Backups can be made, for a recovery group of these custodians, two of whom open it. Their shares lie in the folder of the installation. */
  recovery?: readonly string[];
  /** A document store that runs already. */
  storeUrl?: string;
  databasePrefix?: string;
  brokerPort?: number;
  /** A broker that runs already with the configuration of the installation in `dir`. */
  brokerUrl?: string;
}

export interface RunningService {
  name: ServiceName;
  child: Child;
  healthUrl: string;
}

export interface Stack {
  broker: Broker;
  storeUrl: string;
  store: DocumentStore | undefined;
  services: RunningService[];
  trustFile: string;
  /** Of the installation: tokens, PINs, identities. */
  installationFolder: string;
  /** What the names of its databases begin with. */
  databasePrefix: string;
  start(name: ServiceName, env?: Record<string, string>): Promise<RunningService>;
  /** Drains a service and starts another in its place. */
  restart(service: RunningService): Promise<RunningService>;
  /** First tokens of principals. */
  tokens(principals: StackPrincipal[]): Promise<Record<string, string>>;
  stop(): Promise<void>;
}

const short: Record<ServiceName, string> = {
  'crypto-worker': 'w',
  'key-lifecycle': 'kl',
  policy: 'p',
  audit: 'a',
  'anomaly-detector': 'ad',
};

/** The young generation is 8 MB instead of 16: a third less memory, and no measurable difference in speed (docs/operations.md). */
const nodeFlags = ['--enable-source-maps', '--max-semi-space-size=8'];
/** What a batch of keys leaves behind is collected before the heap has doubled (docs/performance.md). */
const moreFlags: Partial<Record<ServiceName, string[]>> = { 'key-lifecycle': ['--heap-growing-percent=40'] };

/** The whole system on this machine: broker, document store, tokens, and each service as a process of its own, all ready when it resolves. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { dir, report = () => undefined, workers = 1, databasePrefix = 'claviger_' } = options;
  const root = workspaceRoot();
  const { libraryPath } = readMachine().pkcs11;
  mkdirSync(join(dir, 'logs'), { recursive: true });

  report('broker, key ceremony and streams');
  const broker = await startBroker({
    dir,
    ...(options.brokerPort ? { port: options.brokerPort } : {}),
    ...(options.brokerUrl ? { url: options.brokerUrl } : {}),
  });
  const { place } = broker.installation;
  const { env: workerTokens, trustFile } = options.customerLibrary
    ? await customerTokenIn(place, options.customerLibrary)
    : { env: await addPostQuantumToken(place.folder), trustFile: place.trustFile };
  if (options.recovery) await addRecoveryGroup(place.folder, libraryPath, options.recovery);
  const backups: Record<string, string> = options.recovery
    ? { BACKUP_FOLDER: join(dir, 'backups'), BACKUP_ESCROW_FOLDER: join(dir, 'escrows'), BACKUP_EVERY_HOURS: '0' }
    : {};
  let store: DocumentStore | undefined;
  if (!options.storeUrl) {
    report(`document store (${readMachine().store.kind})`);
    store = await startDocumentStore({ dir: join(dir, 'store') });
  }
  const storeUrl = options.storeUrl ?? (store as DocumentStore).url;

  const seed = join(dir, 'policies');
  cpSync(join(root, 'deploy/policies/starter'), seed, { recursive: true });
  if (options.morePolicies) appendFileSync(join(seed, 'policies.cedar'), options.morePolicies);
  writeFileSync(join(seed, 'principals.json'), JSON.stringify(options.principals.map(toPrincipal), null, 2));

  const services: RunningService[] = [];
  const counts = new Map<ServiceName, number>();
  const start = async (name: ServiceName, env: Record<string, string> = {}): Promise<RunningService> => {
    const number = (counts.get(name) ?? 0) + 1;
    counts.set(name, number);
    const token = tokenOf[name];
    const own: Partial<Record<ServiceName, Record<string, string>>> = {
      policy: {
        MONGODB_DATABASE: `${databasePrefix}policy`,
        POLICY_SEED_DIR: seed,
        CALLOUT_ISSUER_FILE: place.nkeyFile('calloutIssuer'),
        CALLOUT_XKEY_FILE: place.nkeyFile('calloutXkey'),
        BROKER_LOG_FILE: broker.logFile,
      },
      'crypto-worker': { ...workerTokens, SITE_REGION: 'local' },
      'key-lifecycle': { SITE_REGION: 'local', MONGODB_DATABASE: `${databasePrefix}keys`, ...backups },
      audit: { MONGODB_DATABASE: `${databasePrefix}audit` },
      'anomaly-detector': { MONGODB_DATABASE: `${databasePrefix}anomaly` },
    };
    const child = await startChild(process.execPath, [...nodeFlags, ...(moreFlags[name] ?? []), join(root, `dist/apps/${name}/main.js`)], {
      name: `${name} ${number}`,
      logFile: join(dir, 'logs', `${name}-${number}.log`),
      env: {
        PATH: process.env.PATH,
        NODE_COMPILE_CACHE: join(root, '.claviger/compile-cache'),
        LOG_FORMAT: 'json',
        // One arena for each of many threads keeps some 20 MB that nobody uses.
        MALLOC_ARENA_MAX: '2',
        NATS_URL: broker.url,
        NATS_NKEY_FILE: broker.nkeyFile(name),
        TRUST_FILE: trustFile,
        PKCS11_LIBRARY: libraryPath,
        SOFTHSM2_CONF: place.softhsmConf(token),
        HSM_TOKEN_LABEL: token,
        HSM_PIN_FILE: place.pinFile(token),
        HEALTH_PORT: '0',
        WORKER_ID: `${short[name]}-${process.pid}-${number}`,
        ...(name === 'crypto-worker' ? {} : { MONGODB_URL: storeUrl }),
        ...own[name],
        ...options.env,
        ...options.serviceEnv?.[name],
        ...env,
      },
    });
    const [, port] = await child.waitForLog(/health on port (\d+)/, 60_000);
    const service = { name, child, healthUrl: `http://127.0.0.1:${port}` };
    services.push(service);
    return service;
  };

  report('services: policy, key-lifecycle, audit, anomaly-detector, crypto-worker');
  await Promise.all([
    start('policy'),
    start('key-lifecycle'),
    start('audit'),
    start('anomaly-detector'),
    ...Array.from({ length: workers }, () => start('crypto-worker')),
  ]);
  await Promise.all(services.map(ready));

  return {
    broker,
    storeUrl,
    store,
    services,
    trustFile,
    installationFolder: place.folder,
    databasePrefix,
    start: async (name, env) => {
      const service = await start(name, env);
      await ready(service);
      return service;
    },
    restart: async (old) => {
      await old.child.stop(25_000);
      services.splice(services.indexOf(old), 1);
      const service = await start(old.name);
      await ready(service);
      return service;
    },
    tokens: async (principals) => {
      const program = await builtProgram('deploy/local/issue.ts');
      const asked = principals.map((p) => (p.mfa ? `${p.id}+mfa` : p.id));
      const { stdout } = await runCommand(process.execPath, [program, place.folder, libraryPath, ...asked], { cwd: root });
      return JSON.parse(stdout) as Record<string, string>;
    },
    stop: async () => {
      await Promise.all(services.map((s) => s.child.stop(25_000)));
      await Promise.all([broker.stop(), store?.stop()]);
    },
  };
}

/** Where this machine has kryoptic, workers reach a token of it as well. @returns their variables */
async function addPostQuantumToken(folder: string): Promise<Record<string, string>> {
  const { kryoptic, nats } = readMachine();
  // An installation that somebody else runs is theirs to extend.
  if (kryoptic === undefined || nats.kind === 'url') return {};
  return addKryopticToken(folder, kryoptic.libraryPath, 'post-quantum');
}

/** @see recovery-group.ts */
async function addRecoveryGroup(folder: string, libraryPath: string, custodians: readonly string[]): Promise<void> {
  const cwd = workspaceRoot();
  const program = await builtProgram('deploy/local/recovery-group.ts');
  const env = { PATH: process.env.PATH };
  await runCommand(process.execPath, [program, folder, libraryPath, '2', ...custodians], { cwd, env });
}

async function ready({ name, child, healthUrl }: RunningService): Promise<void> {
  await until(
    async () => {
      if (!child.running()) throw new Error(`${name} ended:\n${child.logs().slice(-2_000)}`);
      return (await fetch(`${healthUrl}/health/ready`)).ok;
    },
    { what: `${name} to be ready`, timeoutMs: 60_000 },
  );
}

const toPrincipal = ({ mfa: _, ...principal }: StackPrincipal) => ({
  ...principal,
  disabled: false,
  revision: 1,
  identities: [{ kind: 'token' }],
});
