import { readFileSync } from 'node:fs';
import { layout, readSecret } from '@claviger/installation';
import { type BrokerIdentities, provision, renderBrokerConfig } from '@claviger/messaging';
import { connect, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';
import type { Command } from 'commander';
import { CommandError } from '../exit-codes';
import { writeBytes } from '../files';
import { wholeNumber } from '../pairs';
import { offline } from '../run';
import { required } from '../settings';

interface BrokerOptions extends Record<'folder' | 'host' | 'port', string> {
  storeDir?: string;
  monitorPort?: string;
  logFile?: string;
  out?: string;
  serverCert?: string;
  serverKey?: string;
  clientCa?: string;
}

/** The broker of an installation: its configuration, and what must exist in it before the services start. */
export function brokerCommands(bootstrap: Command): void {
  bootstrap
    .command('broker-config')
    .description('nats-server configuration with the accounts and permissions of Claviger; holds public keys only')
    .requiredOption('--folder <folder>', 'where the installation lies')
    .option('--host <address>', 'to listen on', '0.0.0.0')
    .option('--port <port>', 'to listen on', '4222')
    .option('--store-dir <folder>', 'of JetStream')
    .option('--monitor-port <port>')
    .option('--log-file <file>')
    .option('--server-cert <file>', 'certificate of the broker')
    .option('--server-key <file>', 'its private key')
    .option('--client-ca <file>', 'every connection must then show a certificate of this authority')
    .option('--out <file>', 'default: standard output')
    .action(
      offline<BrokerOptions>(async ({ options, output }) => {
        const config = renderBrokerConfig(brokerOptions(options));
        if (options.out !== undefined) await writeBytes(options.out, Buffer.from(config));
        else output.text({ config }, config.trimEnd());
      }),
    );
  bootstrap
    .command('provision')
    .description('create or update streams, buckets and consumers; deletes nothing')
    .requiredOption('--folder <folder>', 'where the installation lies')
    .option('--replicas <n>', '3 in a cluster', '1')
    .action(
      offline<{ folder: string; replicas: string }>(async ({ options: { folder, replicas }, settings, output }) => {
        const place = layout(folder);
        const join = (user: string) =>
          connect({
            servers: required(settings, 'url').split(','),
            authenticator: nkeyAuthenticator(new TextEncoder().encode(readNkey(place.nkeyFile(user)))),
            name: user,
            reconnect: false,
            ...(settings.caFile ? { tls: { caFile: settings.caFile } } : {}),
          });
        const connections: NatsConnection[] = [];
        try {
          for (const user of ['provisionerCore', 'provisionerClients']) connections.push(await join(user));
          const done: string[] = [];
          const [core, clients] = connections as [NatsConnection, NatsConnection];
          await provision({ core, clients, replicas: wholeNumber('--replicas', replicas) ?? 1, report: (line) => done.push(line) });
          output.table({ done }, done, [{ title: 'DONE', value: (line) => line }]);
        } finally {
          await Promise.all(connections.map((connection) => connection.close()));
        }
      }),
    );
}

function brokerOptions(options: BrokerOptions): Parameters<typeof renderBrokerConfig>[0] {
  const { host, storeDir, logFile, serverCert, serverKey, clientCa } = options;
  if ((serverCert === undefined) !== (serverKey === undefined))
    throw new CommandError('usage', 'Give --server-cert and --server-key together');
  const monitorPort = wholeNumber('--monitor-port', options.monitorPort);
  return {
    identities: readIdentities(options.folder),
    host,
    port: wholeNumber('--port', options.port) ?? 4_222,
    ...(storeDir ? { storeDir } : {}),
    ...(monitorPort === undefined ? {} : { monitorPort }),
    ...(logFile ? { logFile } : {}),
    ...(serverCert && serverKey
      ? { tls: { certFile: serverCert, keyFile: serverKey, ...(clientCa ? { clientCaFile: clientCa } : {}) } }
      : {}),
  };
}

const noInstallation = (file: string, error: unknown) =>
  new CommandError(
    'badInput',
    `${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'not JSON'})`,
    'claviger bootstrap ceremony',
  );

function readIdentities(folder: string): BrokerIdentities {
  const file = layout(folder).identitiesFile;
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as BrokerIdentities;
  } catch (error) {
    throw noInstallation(file, error);
  }
}

function readNkey(file: string): string {
  try {
    return readSecret(file);
  } catch (error) {
    throw noInstallation(file, error);
  }
}
