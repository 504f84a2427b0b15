import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Trust } from '@claviger/contracts';
import type { Installation } from '@claviger/installation';
import type { BrokerConfigOptions, BrokerIdentities, ServiceName } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import { runCommand } from './children';
import { readMachine } from './machine';
import { type NatsServer, startNatsServer } from './nats-server';
import { builtProgram } from './programs';
import { workspaceRoot } from './workspace';

export interface BrokerOptions {
  /** Folder of the installation and of the broker's data; started again in it, everything is as it was. */
  dir: string;
  port?: number;
  /** It runs already, with the configuration of the installation in `dir`, and is stopped by whoever started it. */
  url?: string;
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
  const program = await builtProgram('deploy/local/install.ts');
  await runCommand(process.execPath, [program, dir, readMachine().pkcs11.libraryPath], { cwd: workspaceRoot() });
  const { layout } = await import('@claviger/installation');
  const place = layout(dir);
  const json = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as unknown;
  return { place, identities: json(place.identitiesFile) as BrokerIdentities, trust: Trust.parse(json(place.trustFile)) };
}

/**
 * A real broker with the accounts, permissions and streams of an installation. With NATS_URL it is the one that runs there: it must have been
 * started with the configuration of the installation that CLAVIGER_INSTALLATION names (`claviger bootstrap` makes both).
 */
export async function startBroker({ dir, port, url, tls, provisioned = true }: BrokerOptions): Promise<Broker> {
  const { nats } = readMachine();
  if (nats.kind === 'url' && !process.env.CLAVIGER_INSTALLATION)
    throw new Error(
      'NATS_URL is set, so CLAVIGER_INSTALLATION must name the folder of the installation that this broker was configured with',
    );
  const installation = await install(process.env.CLAVIGER_INSTALLATION ?? join(dir, 'installation'));
  const { place, identities } = installation;
  // Not above, since Jest loads all of them anew for each file, and most tests ask this library for less than a broker.
  const [{ readSecret }, { provision, renderBrokerConfig }, { connect, nkeyAuthenticator }] = await Promise.all([
    import('@claviger/installation'),
    import('@claviger/messaging'),
    import('@nats-io/transport-node'),
  ]);
  const logFile = join(dir, 'broker.log');
  const config = renderBrokerConfig({ identities, host: '127.0.0.1', port: port ?? 0, logFile, ...(tls ? { tls } : {}) });
  const server =
    url !== undefined || nats.kind === 'url'
      ? running(url ?? (nats as { url: string }).url, dir)
      : await startNatsServer({ dir: join(dir, 'nats'), config, ...(port === undefined ? {} : { port }) });
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
  return Object.assign(server, { installation, logFile, nkeyFile: (user: BrokerUser) => place.nkeyFile(user), connection });
}

/** Somebody else's server: used, never started or stopped. */
function running(url: string, dir: string): NatsServer {
  const notOurs = () => {
    throw new Error(`the broker at ${url} is not ours to stop or start`);
  };
  const nothing = async () => undefined;
  return {
    url,
    port: Number(new URL(url).port || 4222),
    monitorUrl: '',
    ports: {},
    dir,
    pid: 0,
    logs: () => '',
    reload: notOurs,
    pause: notOurs,
    resume: notOurs,
    stop: nothing,
    kill9: nothing,
    restart: async () => notOurs(),
  };
}
