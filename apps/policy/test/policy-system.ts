import { generateKeyPairSync, type KeyObject, randomBytes, randomInt, randomUUID, sign } from 'node:crypto';
import { appendFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inboxPrefix, limits, type Principal, requestSubject, requestType, serviceInboxPrefix } from '@claviger/contracts';
import { readSecret, tokenOf } from '@claviger/installation';
import { genesisPrev, p256PublicKey, parseBatch, parseEpochRecord, verifyBatch } from '@claviger/ledger';
import { importTrustedKeys, openPolicyView, openSessionsView, provision, signRecord } from '@claviger/messaging';
import {
  type Broker,
  type BrokerOptions,
  type BrokerUser,
  builtProgram,
  type Child,
  openTestStore,
  startBroker,
  startChild,
  type TestStore,
  temporaryFolder,
  until,
  workspaceRoot,
} from '@claviger/testing';
import { jetstreamManager } from '@nats-io/jetstream';
import { type ConnectionOptions, connect, type NatsConnection, nkeyAuthenticator, tokenAuthenticator } from '@nats-io/transport-node';

export type Line = Record<string, unknown> & { kind: string };

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
export const sessionId = (): string => Array.from({ length: 22 }, () => alphabet[randomInt(alphabet.length)]).join('');

/** A P-256 key of a test; its public half may be put into trust.json beside the token's. */
export class TestKey {
  private readonly pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  constructor(readonly kid: string) {}
  get spki(): string {
    return this.pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64url');
  }
  get privateKey(): KeyObject {
    return this.pair.privateKey;
  }
  get publicKey(): KeyObject {
    return this.pair.publicKey;
  }
  sign = (input: Buffer): Buffer => sign('sha256', input, { key: this.pair.privateKey, dsaEncoding: 'ieee-p1363' });
}

export interface TokenOptions {
  key?: TestKey;
  typ?: string;
  amr?: string[];
  issuedSecondsAgo?: number;
  lifetimeSeconds?: number;
  more?: Record<string, unknown>;
}

/** A token as the service would issue it, or one that is wrong in one way. */
export function tokenFor(principal: string, key: TestKey, options: TokenOptions = {}): string {
  const iat = Math.floor(Date.now() / 1_000) - (options.issuedSecondsAgo ?? 0);
  const claims = {
    iss: 'claviger',
    sub: principal,
    iat,
    exp: iat + (options.lifetimeSeconds ?? 600),
    jti: randomUUID(),
    amr: options.amr ?? [],
    auth_time: iat,
    chain: randomBytes(32).toString('base64url'),
  };
  return signRecord(options.typ ?? 'claviger-token+jwt', { ...claims, ...options.more }, options.key ?? key);
}

export const principal = (id: string, more: Partial<Principal> = {}): Principal => ({
  id,
  kind: 'person',
  roles: [],
  disabled: false,
  revision: 1,
  identities: [{ kind: 'token' }],
  ...more,
});

export interface SystemOptions {
  principals: Principal[];
  env?: Record<string, string>;
  /** Cedar, beside the starter set. */
  policies?: string;
  /** URL of a store of the test's own. */
  store?: string;
  /** Mutual TLS at the broker, and what services show. */
  tls?: { broker: NonNullable<BrokerOptions['tls']>; service: { caFile: string; certFile: string; keyFile: string } };
}

/** The real service as its own process, on a real broker with the rendered configuration, a real store and a real token. */
export class PolicySystem {
  readonly key: TestKey;
  readonly children: Child[] = [];
  private readonly connections: NatsConnection[] = [];
  private readonly watching: (() => void)[] = [];
  private constructor(
    readonly folder: { path: string; remove(): Promise<void> },
    readonly broker: Broker,
    readonly storeUrl: string,
    readonly database: string,
    private readonly store: TestStore | undefined,
    private readonly options: SystemOptions,
  ) {
    this.key = new TestKey('control-of-test');
  }

  static async start(options: SystemOptions): Promise<PolicySystem> {
    const folder = await temporaryFolder('policy-spec');
    const [broker, store] = await Promise.all([
      startBroker({ dir: folder.path, provisioned: false, ...(options.tls ? { tls: options.tls.broker } : {}) }),
      options.store ? undefined : openTestStore(),
    ]);
    const storeUrl = options.store ?? (store as TestStore).url;
    const system = new PolicySystem(folder, broker, storeUrl, store?.databaseName('policy') ?? 'claviger_policy', store, options);
    system.writeFiles();
    const [core, clients] = await Promise.all([system.connectAs('provisionerCore'), system.connectAs('provisionerClients')]);
    await provision({ core, clients, replicas: 1, report: () => undefined });
    await Promise.all([core.close(), clients.close()]);
    return system;
  }

  get trust() {
    const { trust } = this.broker.installation;
    return { ...trust, control: { ...trust.control, [this.key.kid]: this.key.spki } };
  }

  /** Starts a process of the service and waits until it serves. */
  async startPolicy(env: Record<string, string> = {}): Promise<Child> {
    const child = await this.launch(env);
    await child.waitForLog(/admits callers and takes requests/, 120_000);
    return child;
  }

  launch(env: Record<string, string> = {}): Promise<Child> {
    const { place } = this.broker.installation;
    const token = tokenOf.policy;
    const tls = this.options.tls?.service;
    return startChild(process.execPath, [join(workspaceRoot(), 'dist/apps/policy/main.js')], {
      name: 'policy',
      logFile: join(this.folder.path, 'policy.log'),
      env: {
        ...process.env,
        LOG_FORMAT: 'json',
        NATS_URL: this.broker.url,
        NATS_NKEY_FILE: this.broker.nkeyFile('policy'),
        TRUST_FILE: join(this.folder.path, 'trust.json'),
        PKCS11_LIBRARY: process.env.PKCS11_LIBRARY ?? '/usr/lib/softhsm/libsofthsm2.so',
        SOFTHSM2_CONF: place.softhsmConf(token),
        HSM_TOKEN_LABEL: token,
        HSM_PIN_FILE: place.pinFile(token),
        CALLOUT_ISSUER_FILE: place.nkeyFile('calloutIssuer'),
        CALLOUT_XKEY_FILE: place.nkeyFile('calloutXkey'),
        MONGODB_URL: this.storeUrl,
        MONGODB_DATABASE: this.database,
        POLICY_SEED_DIR: join(this.folder.path, 'seed'),
        BROKER_LOG_FILE: this.broker.logFile,
        ...(tls ? { NATS_TLS_CA_FILE: tls.caFile, NATS_TLS_CERT_FILE: tls.certFile, NATS_TLS_KEY_FILE: tls.keyFile } : {}),
        ...this.options.env,
        ...env,
      },
    }).then((child) => {
      this.children.push(child);
      return child;
    });
  }

  /** A connection as this user of the broker, with exactly its permissions. */
  connectAs(user: BrokerUser): Promise<NatsConnection> {
    const { place, identities } = this.broker.installation;
    return connect({
      servers: this.broker.url,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(readSecret(place.nkeyFile(user)))),
      inboxPrefix: user in identities.services ? serviceInboxPrefix(user) : '_INBOX',
      ...(this.options.tls ? { tls: this.options.tls.service } : {}),
    });
  }

  token(id: string, options?: TokenOptions): string {
    return tokenFor(id, this.key, options);
  }

  /**
   * Authenticated by a clock that is as far ahead as one may be: counts a second or two after everything up to now was revoked.
   */
  tokenFromAhead(id: string, options: TokenOptions = {}): string {
    return this.token(id, { ...options, issuedSecondsAgo: 1 - limits.clockSkewSeconds });
  }

  /** A connection that was admitted. */
  async caller(id: string, given: { token?: string; session?: string; tls?: ConnectionOptions['tls'] } = {}): Promise<Caller> {
    const session = given.session ?? sessionId();
    const token = given.token ?? this.token(id);
    const connection = await connect({
      servers: this.broker.url,
      name: session,
      inboxPrefix: inboxPrefix(id, session),
      reconnect: false,
      timeout: 10_000,
      ...(token === '' ? {} : { authenticator: tokenAuthenticator(token) }),
      ...(given.tls ? { tls: given.tls } : {}),
    });
    this.connections.push(connection);
    return { id, session, connection };
  }

  /** `admitted`, or what the client was told. */
  attempt(id: string, given: { token?: string; session?: string } = {}): Promise<string> {
    return this.caller(id, given).then(
      () => 'admitted',
      (error: Error) => error.message,
    );
  }

  /** Every line that the service has recorded, in order; the chain of batches is verified on the way. */
  async records(): Promise<Line[]> {
    const connection = await this.connectAs('provisionerCore');
    try {
      const jsm = await jetstreamManager(connection);
      const { state } = await jsm.streams.info('AUDIT');
      const lines: Line[] = [];
      const chains = new Map<string, { key: KeyObject; seq: number; prev: Buffer }>();
      for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
        const message = await jsm.streams.getMessage('AUDIT', { seq });
        if (!message?.subject.startsWith('audit.v1.policy.')) continue;
        const batch = parseBatch(Buffer.from(message.data));
        const first = batch.lines[0] ?? Buffer.alloc(0);
        const epoch = batch.seal.epoch;
        if (batch.seal.seq === 0) chains.set(epoch, { key: p256PublicKey(parseEpochRecord(first).publicKey), seq: 0, prev: genesisPrev() });
        const chain = chains.get(epoch);
        if (!chain) throw new Error(`epoch ${epoch} has no first batch`);
        const findings = verifyBatch(batch, chain.key, chain);
        if (findings.length > 0) throw new Error(JSON.stringify(findings));
        chain.seq++;
        chain.prev = batch.batchHash;
        lines.push(...batch.lines.slice(0, -1).map((line) => JSON.parse(line.toString('utf8')) as Line));
      }
      return lines;
    } finally {
      await connection.close();
    }
  }

  /** The first record with these fields, waited for. */
  recorded(fields: Record<string, unknown>): Promise<Line> {
    const alike = (line: Line) => Object.entries(fields).every(([name, value]) => line[name] === value);
    return until(async () => (await this.records()).find(alike), {
      what: `a record ${JSON.stringify(fields)}`,
      everyMs: 100,
      timeoutMs: 30_000,
    });
  }

  /** What another holder of the buckets sees, verified as a worker does. */
  async views() {
    const connection = await this.connectAs('crypto-worker');
    this.connections.push(connection);
    const options = {
      connection,
      holder: `crypto-worker.${randomUUID()}`,
      trusted: importTrustedKeys(this.trust.control),
      onRefused: () => undefined,
    };
    const views = { sessions: openSessionsView(options), policy: openPolicyView(options) };
    await Promise.all(Object.values(views).map((view) => view.start()));
    await Promise.all(Object.values(views).map((view) => view.whenFresh()));
    const stop = () => Object.values(views).forEach((view) => void view.stop());
    this.watching.push(stop);
    return { ...views, stop };
  }

  async stop(): Promise<void> {
    for (const stopWatching of this.watching) stopWatching();
    await Promise.all(this.connections.map((c) => c.close()));
    await Promise.all(this.children.map((child) => child.stop()));
    await this.broker.stop();
    await this.store?.stop();
    await this.folder.remove();
  }

  private writeFiles(): void {
    const seed = join(this.folder.path, 'seed');
    mkdirSync(seed);
    // Nothing is to happen by itself, unless a test says so.
    cpSync(join(workspaceRoot(), 'deploy/policies/starter'), seed, { recursive: true, filter: (file) => !file.endsWith('staleness.json') });
    // The starter set lets nobody issue tokens for others; this installation does.
    appendFileSync(
      join(seed, 'policies.cedar'),
      '\n@id("officers-issue-tokens")\n@control("NIST-SP-800-53r5:IA-5")\n@summary("security officers issue tokens")\npermit (\n  principal in Claviger::Role::"security-officer",\n  action == Claviger::Action::"access:IssueToken",\n  resource is Claviger::System\n);\n',
    );
    appendFileSync(join(seed, 'policies.cedar'), this.options.policies ?? '');
    writeFileSync(join(seed, 'principals.json'), JSON.stringify(this.options.principals));
    writeFileSync(join(this.folder.path, 'trust.json'), JSON.stringify(this.trust));
  }
}

export interface Caller {
  id: string;
  session: string;
  connection: NatsConnection;
}

/** Asks as an admitted caller; the reply's body. */
export async function ask(
  caller: Caller,
  operation: string,
  input: Record<string, unknown> = {},
): Promise<{ result?: never; problem?: { code: string; detail: string }; receipt?: object } & Record<string, unknown>> {
  const [service, verb] = operation.split('.') as [string, string];
  const subject = requestSubject({ principal: caller.id, session: caller.session, service, verb });
  const reply = await caller.connection.request(subject, JSON.stringify({ type: requestType, ...input }), { timeout: 30_000 });
  return reply.json();
}

export const build = () => builtProgram('apps/policy');
