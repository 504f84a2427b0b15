import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleHash } from '@claviger/authz';
import { bundleFormat, type CeremonyTranscript, type Principal, requestSubject, requestType, type Trust } from '@claviger/contracts';
import { type Installation, signTranscript, tokenOf } from '@claviger/installation';
import {
  importTrustedKeys,
  KvOwner,
  openPolicyView,
  openSessionsView,
  provision,
  recordTypes,
  renderBrokerConfig,
  revisionReader,
  type ServiceName,
} from '@claviger/messaging';
import {
  builtProgram,
  type Child,
  install,
  type NatsServer,
  openTestStore,
  startChild,
  startNatsServer,
  type TemporaryFolder,
  type TestStore,
  temporaryFolder,
  workspaceRoot,
} from '@claviger/testing';
import { connect, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';
import { certifiers } from './worker';

const es256 = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const spkiOf = (pair: ReturnType<typeof es256>) => pair.publicKey.export({ format: 'der', type: 'spki' });
const signWith = (pair: ReturnType<typeof es256>, bytes: Buffer) =>
  sign('sha256', bytes, { key: pair.privateKey, dsaEncoding: 'ieee-p1363' });
const session = (principal: string) => principal.replaceAll('-', '').padEnd(22, '0');

/** The members of the results of audit's operations. */
interface Answered {
  checkpoint: string;
  size: number;
  root: string;
  proof: string[];
  lines: string[];
  records: { index: number; record: Record<string, unknown> }[];
  digest: string;
  groupId: string;
  next?: number;
}

/** audit as its own process, with a real token and the real permissions of the broker; sessions and policy are signed by a key of the test. */
export class AuditSystem {
  private readonly control = es256();
  private readonly children: Child[] = [];
  private readonly connections: NatsConnection[] = [];
  private readonly stopping: (() => unknown)[] = [];
  private clients: NatsConnection | undefined;

  private constructor(
    private readonly folder: TemporaryFolder,
    private readonly installation: Installation,
    private readonly nats: NatsServer,
    readonly store: TestStore,
  ) {}

  static async start(principals: Record<string, string[]>): Promise<AuditSystem> {
    await builtProgram('apps/audit');
    const folder = await temporaryFolder('audit-system');
    const [installation, store] = await Promise.all([install(join(folder.path, 'installation')), openTestStore()]);
    const config = renderBrokerConfig({ identities: installation.identities, host: '127.0.0.1', port: 0 })
      // Stands for a caller that the callout has admitted.
      .replace(/(CLIENTS \{[^}]*?allow: \["\$JS\.API\.>")/, '$1, "claviger.v1.>"');
    const nats = await startNatsServer({ dir: join(folder.path, 'nats'), config });
    const system = new AuditSystem(folder, installation, nats, store);
    const [core, clients] = await Promise.all([system.connection('provisionerCore'), system.connection('provisionerClients')]);
    await provision({ core, clients, replicas: 1, report: () => undefined });
    writeFileSync(join(folder.path, 'trust.json'), JSON.stringify(system.trust));
    await system.publishState(principals);
    return system;
  }

  get trust(): Trust {
    const { trust } = this.installation;
    return {
      ...trust,
      control: { test: spkiOf(this.control).toString('base64url') },
      certifiers: { ...trust.certifiers, 'customer-certifier': certifiers['customer-certifier']! },
    };
  }

  /** As the ceremony does in the control token. */
  signTranscript(transcript: CeremonyTranscript): string {
    return signTranscript(transcript, { kid: 'test', sign: (input) => signWith(this.control, input) });
  }

  /** Starts a process; resolves when it takes requests. */
  async audit(environment: Record<string, string> = {}): Promise<Child> {
    const child = await this.launch(environment);
    await child.waitForLog(/takes requests; health on port (\d+)/, 30_000);
    return child;
  }

  async launch(environment: Record<string, string> = {}): Promise<Child> {
    const { place } = this.installation;
    const token = tokenOf.audit;
    const child = await startChild(process.execPath, [join(workspaceRoot(), 'dist/apps/audit/main.js')], {
      name: 'audit',
      env: {
        ...process.env,
        LOG_FORMAT: 'json',
        NATS_URL: this.nats.url,
        NATS_NKEY_FILE: place.nkeyFile('audit'),
        TRUST_FILE: join(this.folder.path, 'trust.json'),
        PKCS11_LIBRARY: process.env.PKCS11_LIBRARY ?? '/usr/lib/softhsm/libsofthsm2.so',
        SOFTHSM2_CONF: place.softhsmConf(token),
        HSM_TOKEN_LABEL: token,
        HSM_PIN_FILE: place.pinFile(token),
        MONGODB_URL: this.store.url,
        MONGODB_DATABASE: this.database,
        CHECKPOINT_EVERY_MS: '100',
        ...environment,
      },
    });
    this.children.push(child);
    return child;
  }

  get database(): string {
    return this.store.databaseName('audit');
  }

  async connection(user: ServiceName | 'provisionerCore' | 'provisionerClients'): Promise<NatsConnection> {
    const seed = readFileSync(this.installation.place.nkeyFile(user));
    const inboxPrefix = user.startsWith('provisioner') ? '_INBOX' : `_INBOX.core.${user}`;
    const connection = await connect({
      servers: this.nats.url,
      authenticator: nkeyAuthenticator(new Uint8Array(Buffer.from(seed.toString().trim()))),
      inboxPrefix,
    });
    this.connections.push(connection);
    return connection;
  }

  /** Asks as an admitted caller. */
  async ask(principal: string, operation: string, input: Record<string, unknown> = {}) {
    const [service, verb] = operation.split('.') as [string, string];
    this.clients ??= await this.connection('provisionerClients');
    const subject = requestSubject({ principal, session: session(principal), service, verb });
    const reply = await this.clients.request(subject, JSON.stringify({ type: requestType, ...input }), { timeout: 10_000 });
    return reply.json<{ result?: Answered; problem?: { code: string }; receipt?: Record<string, unknown> }>();
  }

  async stop(): Promise<void> {
    for (const stop of this.stopping) await stop();
    await Promise.all(this.children.map((child) => child.stop()));
    await Promise.all(this.connections.map((connection) => connection.close()));
    await Promise.all([this.nats.stop(), this.store.stop()]);
    await this.folder.remove();
  }

  /** What `policy` puts into the buckets: sessions of these principals, and the starter bundle with their roles. */
  private async publishState(roles: Record<string, string[]>): Promise<void> {
    const connection = await this.connection('policy');
    const trusted = importTrustedKeys(this.trust.control);
    const signer = { kid: 'test', sign: (input: Buffer) => signWith(this.control, input) };
    const view = { connection, holder: `policy.${randomUUID()}`, trusted, onRefused: () => undefined };
    const [sessions, policy] = [openSessionsView(view), openPolicyView(view)];
    const owners = {
      sessions: new KvOwner(connection, 'sessions', recordTypes.sessions, signer, revisionReader('sessions', trusted)),
      policy: new KvOwner(connection, 'policy', recordTypes.policy, signer, revisionReader('policy', trusted)),
    };
    await Promise.all([sessions.start(), policy.start(), owners.sessions.start(), owners.policy.start()]);
    owners.sessions.keepMark(sessions as never);
    owners.policy.keepMark(policy as never);
    this.stopping.push(
      () => sessions.stop(),
      () => policy.stop(),
      () => owners.sessions.stop(),
      () => owners.policy.stop(),
    );
    const starter = (file: string) => readFileSync(join(workspaceRoot(), 'deploy/policies/starter', file), 'utf8');
    const now = new Date();
    const bundle = {
      format: bundleFormat,
      revision: 1,
      policies: starter('policies.cedar'),
      schema: starter('schema.cedarschema'),
      roles: JSON.parse(starter('roles.json')),
      principals: Object.entries(roles).map(
        ([id, own]): Principal => ({ id, kind: 'person', roles: own, disabled: false, revision: 1, identities: [{ kind: 'token' }] }),
      ),
      grants: [],
      publishedAt: now.toISOString(),
    };
    await owners.policy.put({ kind: 'bundle', id: 'bundle', revision: 1, hash: bundleHash(bundle as never), bundle } as never);
    for (const principal of Object.keys(roles))
      await owners.sessions.put({
        kind: 'session',
        id: session(principal),
        revision: 1,
        session: session(principal),
        principal,
        method: 'token',
        mfa: true,
        authTime: new Date().toISOString(),
        chain: 'A'.repeat(43),
        ip: 'c'.repeat(43),
        issuedAt: now.toISOString(),
        expiresAt: new Date(now.getTime() + 3_600_000).toISOString(),
        state: 'active',
      } as never);
  }
}
