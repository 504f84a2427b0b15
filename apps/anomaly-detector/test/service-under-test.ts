import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleHash } from '@claviger/authz';
import {
  type BundleView,
  bundleFormat,
  PolicyBundle,
  type Reply,
  requestSubject,
  requestType,
  type SessionsView,
} from '@claviger/contracts';
import { tokenOf } from '@claviger/installation';
import { importTrustedKeys, KvOwner, openPolicyView, openSessionsView, recordTypes, revisionReader } from '@claviger/messaging';
import { type Broker, builtProgram, type Child, startChild, until, workspaceRoot } from '@claviger/testing';
import type { NatsConnection } from '@nats-io/transport-node';

const service = 'anomaly-detector';
const session = (principal: string) => `${principal}${'0'.repeat(22)}`.slice(0, 22);

/** The built service as a process of its own: real token, real broker user. Trusts a control key of the test beside the installation's. */
export class ServiceUnderTest {
  private readonly pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  private readonly trustFile: string;
  private owners: { stop(): void }[] = [];
  private policyConnection: NatsConnection | undefined;

  constructor(
    private readonly broker: Broker,
    private readonly folder: string,
    private readonly env: Record<string, string>,
  ) {
    this.trustFile = join(folder, 'trust.json');
    const { trust } = broker.installation;
    const spki = this.pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64url');
    writeFileSync(this.trustFile, JSON.stringify({ ...trust, control: { ...trust.control, test: spki } }));
  }

  static build = () => builtProgram('apps/anomaly-detector');

  start(more: Record<string, string> = {}): Promise<Child> {
    const { installation, url } = this.broker;
    const token = tokenOf[service];
    return startChild(process.execPath, [join(workspaceRoot(), 'dist/apps/anomaly-detector/main.js')], {
      name: service,
      logFile: join(this.folder, 'service.log'),
      env: {
        ...process.env,
        LOG_FORMAT: 'json',
        NATS_URL: url,
        NATS_NKEY_FILE: this.broker.nkeyFile(service),
        TRUST_FILE: this.trustFile,
        PKCS11_LIBRARY: process.env.PKCS11_LIBRARY ?? '/usr/lib/softhsm/libsofthsm2.so',
        SOFTHSM2_CONF: installation.place.softhsmConf(token),
        HSM_TOKEN_LABEL: token,
        HSM_PIN_FILE: installation.place.pinFile(token),
        ...this.env,
        ...more,
      },
    });
  }

  /** Sessions and the starter policies, as the policy service publishes them. */
  async admit(roles: Record<string, string[]>): Promise<void> {
    const connection = await this.broker.connection('policy');
    this.policyConnection = connection;
    const signer = {
      kid: 'test',
      sign: (input: Buffer) => sign('sha256', input, { key: this.pair.privateKey, dsaEncoding: 'ieee-p1363' }),
    };
    const trusted = importTrustedKeys((JSON.parse(readFileSync(this.trustFile, 'utf8')) as { control: Record<string, string> }).control);
    const view = { connection, holder: 'policy.test', trusted, onRefused: () => undefined };
    const [sessions, policy] = [openSessionsView(view), openPolicyView(view)];
    const sessionOwner = new KvOwner<SessionsView>(
      connection,
      'sessions',
      recordTypes.sessions,
      signer,
      revisionReader('sessions', trusted),
    );
    const policyOwner = new KvOwner<BundleView>(connection, 'policy', recordTypes.policy, signer, revisionReader('policy', trusted));
    await Promise.all([sessions, policy, sessionOwner, policyOwner].map((part) => part.start()));
    sessionOwner.keepMark(sessions);
    policyOwner.keepMark(policy);
    this.owners = [sessionOwner, policyOwner, sessions, policy];
    const issuedAt = new Date().toISOString();
    for (const principal of Object.keys(roles))
      await sessionOwner.put({
        kind: 'session',
        id: session(principal),
        revision: 1,
        session: session(principal),
        principal,
        method: 'token',
        mfa: true,
        authTime: new Date().toISOString(),
        chain: 'A'.repeat(43),
        ip: 'commitment',
        issuedAt,
        expiresAt: new Date(Date.now() + 600_000).toISOString(),
        state: 'active',
      });
    const starter = (file: string) => readFileSync(join(workspaceRoot(), 'deploy/policies/starter', file), 'utf8');
    const bundle = PolicyBundle.parse({
      format: bundleFormat,
      revision: 1,
      policies: starter('policies.cedar'),
      schema: starter('schema.cedarschema'),
      principals: Object.entries(roles).map(([id, of]) => ({
        id,
        kind: 'person',
        roles: of,
        disabled: false,
        revision: 1,
        identities: [{ kind: 'token' }],
      })),
      roles: JSON.parse(starter('roles.json')),
      grants: [],
      publishedAt: issuedAt,
    });
    await policyOwner.put({ kind: 'bundle', id: 'bundle', revision: 1, hash: bundleHash(bundle), bundle });
    await Promise.all([sessions.whenFresh(), policy.whenFresh()]);
  }

  /** A connection in CLIENTS that may speak for anybody: it stands for the auth callout, which ties a connection to one principal. */
  async caller(): Promise<{ connection: NatsConnection; ask: (principal: string, verb: string, input?: unknown) => Promise<Reply> }> {
    const file = join(this.broker.dir, 'nats.conf');
    const config = readFileSync(file, 'utf8');
    const at = config.indexOf('\n  CLIENTS {');
    const clients = config.slice(at);
    const widened = clients.replace('["$JS.API.>"', '["claviger.v1.>", "$JS.API.>"').replace('["_INBOX.>"', '["alerts.v1.>", "_INBOX.>"');
    if (at < 0 || widened.length !== clients.length + 32) throw new Error('the broker configuration has another form');
    writeFileSync(file, config.slice(0, at) + widened);
    this.broker.reload();
    const connection = await until(
      async () => {
        const candidate = await this.broker.connection('provisionerClients');
        const subscription = candidate.subscribe('alerts.v1.>');
        await candidate.flush();
        // A subscription that is not permitted has been closed by now.
        if (!subscription.isClosed()) {
          subscription.unsubscribe();
          return candidate;
        }
        await candidate.close();
        return undefined;
      },
      { what: 'the broker to grant it', everyMs: 100 },
    );
    const ask = async (principal: string, verb: string, input: unknown = {}): Promise<Reply> => {
      const subject = requestSubject({ principal, session: session(principal), service: 'alerts', verb });
      const body = typeof input === 'string' ? input : JSON.stringify({ type: requestType, ...(input as object) });
      return (await connection.request(subject, body, { timeout: 5_000 })).json<Reply>();
    };
    return { connection, ask };
  }

  async stop(): Promise<void> {
    for (const owner of this.owners) owner.stop();
    await this.policyConnection?.close();
  }
}
