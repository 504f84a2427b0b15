import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Trust } from '@claviger/contracts';
import { type Installation, layout, readSecret } from '@claviger/installation';
import { type BrokerConfigOptions, type BrokerIdentities, provision, renderBrokerConfig, type ServiceName } from '@claviger/messaging';
import { connect, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';
import { runCommand } from './children';
import { readMachine } from './machine';
import { type NatsServer, startNatsServer } from './nats-server';
import { workspaceRoot } from './workspace';

export interface BrokerOptions {
  /** Folder of the installation and of the broker's data; started again in it, everything is as it was. */
  dir: string;
  port?: number;
  tls?: BrokerConfigOptions['tls'];
  /** Create streams, buckets and consumers (default true). */
  provisioned?: boolean;
}

export type BrokerUser = ServiceName | 'provisionerCore' | 'provisionerClients' | 'system';

export interface Broker extends NatsServer {
  installation: Installation;
  logFile: string;
  nkeyFile(user: BrokerUser): string;
  /** A connection as this user, with exactly its permissions. */
  connection(user: BrokerUser): Promise<NatsConnection>;
}

/** Tokens, trust.json and nkeys in `dir`, made by a process of its own: the token library reads the C environment, which Jest hides from tests. */
export async function install(dir: string): Promise<Installation> {
  const root = workspaceRoot();
  await runCommand(process.execPath, ['tools/build.mjs', 'deploy/local/install.ts'], { cwd: root });
  await runCommand(process.execPath, ['dist/deploy/local/install.js', dir, readMachine().pkcs11.libraryPath], { cwd: root });
  const place = layout(dir);
  const json = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as unknown;
  return { place, identities: json(place.identitiesFile) as BrokerIdentities, trust: Trust.parse(json(place.trustFile)) };
}

/** A real broker with the accounts, permissions and streams of an installation. */
export async function startBroker({ dir, port, tls, provisioned = true }: BrokerOptions): Promise<Broker> {
  const installation = await install(join(dir, 'installation'));
  const { place, identities } = installation;
  const logFile = join(dir, 'broker.log');
  const config = renderBrokerConfig({ identities, host: '127.0.0.1', port: port ?? 0, logFile, ...(tls ? { tls } : {}) });
  const server = await startNatsServer({ dir: join(dir, 'nats'), config, ...(port === undefined ? {} : { port }) });
  const connection = (user: BrokerUser) =>
    connect({
      servers: server.url,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(readSecret(place.nkeyFile(user)))),
      inboxPrefix: user in identities.services ? `_INBOX.core.${user}` : '_INBOX',
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
    });
  if (provisioned) {
    const [core, clients] = await Promise.all([connection('provisionerCore'), connection('provisionerClients')]);
    await provision({ core, clients, replicas: 1, report: () => undefined });
    await Promise.all([core.close(), clients.close()]);
  }
  return { ...server, installation, logFile, nkeyFile: (user) => place.nkeyFile(user), connection };
}
