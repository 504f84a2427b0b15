import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Child, startChild } from './children';
import { type Machine, readMachine } from './machine';
import { until } from './until';

/** What DESIGN.md asks of every server: an ack means fsync. */
export const DEFAULT_NATS_CONFIG = `
max_payload: 8MB
jetstream {
  sync_interval: always
  max_mem: 256MB
  max_file: 16GB
}
`;

export interface NatsServerOptions {
  /** Its folder: JetStream files, log, configuration. Made when missing; a server started again in it has the same streams. */
  readonly dir: string;
  /** The text of a configuration file; default `DEFAULT_NATS_CONFIG`. Client and monitoring ports and store folder in it are overridden. */
  readonly config?: string;
  /** A configuration file instead of a text. */
  readonly configFile?: string;
  /** Default: a free one. */
  readonly port?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly machine?: Machine;
}

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  /** http://127.0.0.1:PORT; `/healthz`, `/varz`, `/jsz` … */
  readonly monitorUrl: string;
  /** Ports that the configuration asked for as -1. They change with a restart. */
  readonly ports: { readonly websocket?: number };
  readonly dir: string;
  readonly pid: number;
  logs(): string;
  /** Reads the configuration file again (SIGHUP). */
  reload(): void;
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
  kill9(): Promise<void>;
  /** Starts it again on the same ports with the same data; stops it first when it runs. */
  restart(): Promise<void>;
}

interface PortsFile {
  readonly nats: readonly string[];
  readonly monitoring?: readonly string[];
  readonly websocket?: readonly string[];
}

const portOf = (urls: readonly string[] | undefined) =>
  urls?.[0] === undefined ? undefined : Number(urls[0].slice(urls[0].lastIndexOf(':') + 1));

/** Starts a nats-server on 127.0.0.1 and resolves once it is healthy, JetStream included. */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const { dir, machine = readMachine() } = options;
  if (machine.nats.kind !== 'binary')
    throw new Error('NATS_URL is set: this machine was set up to use a server that runs already. Unset it and run `npm run setup`');
  const program = machine.nats.path;
  await mkdir(dir, { recursive: true });
  const configFile = options.configFile ?? join(dir, 'nats.conf');
  if (options.configFile === undefined) await writeFile(configFile, options.config ?? DEFAULT_NATS_CONFIG);
  let server = await launch(program, dir, configFile, options.env, options.port ?? -1, -1);
  const { port, monitorPort } = server;

  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    monitorUrl: `http://127.0.0.1:${monitorPort}`,
    dir,
    get ports() {
      return { websocket: server.websocketPort };
    },
    get pid() {
      return server.child.pid;
    },
    logs: () => server.child.logs(),
    reload: () => server.child.signal('SIGHUP'),
    pause: () => server.child.pause(),
    resume: () => server.child.resume(),
    stop: () => server.child.stop(),
    kill9: () => server.child.kill9(),
    async restart() {
      await server.child.stop();
      server = await launch(program, dir, configFile, options.env, port, monitorPort);
    },
  };
}

interface Launched {
  readonly child: Child;
  readonly port: number;
  readonly monitorPort: number;
  readonly websocketPort?: number;
}

/** With port -1 the server takes a free one itself and tells it in a file, so there is no race for it. */
async function launch(
  program: string,
  dir: string,
  configFile: string,
  env: NodeJS.ProcessEnv | undefined,
  port: number,
  monitorPort: number,
): Promise<Launched> {
  const portsDir = join(dir, 'ports');
  await rm(portsDir, { recursive: true, force: true });
  await mkdir(portsDir);
  const args = [
    '-c',
    configFile,
    '-a',
    '127.0.0.1',
    '-p',
    `${port}`,
    '-m',
    `${monitorPort}`,
    '-sd',
    join(dir, 'store'),
    '--ports_file_dir',
    portsDir,
  ];
  const child = await startChild(program, args, { env, name: 'nats-server', logFile: join(dir, 'nats-server.log') });
  const failed = () => new Error(`nats-server ended; its last lines:\n${child.logs().split('\n').slice(-15).join('\n')}`);
  const ready = async () => {
    if (!child.running()) return { error: failed() };
    const [name] = (await readdir(portsDir)).filter((file) => file.endsWith('.ports'));
    if (name === undefined) return undefined;
    const ports = JSON.parse(await readFile(join(portsDir, name), 'utf8')) as PortsFile;
    const monitor = portOf(ports.monitoring);
    const answer = await fetch(`http://127.0.0.1:${monitor}/healthz`, { signal: AbortSignal.timeout(2_000) });
    return answer.ok ? { port: portOf(ports.nats), monitorPort: monitor, websocketPort: portOf(ports.websocket) } : undefined;
  };
  try {
    const found = await until(ready, { what: 'nats-server to be healthy', timeoutMs: 30_000 });
    if ('error' in found) throw found.error;
    return { child, port: found.port as number, monitorPort: found.monitorPort as number, websocketPort: found.websocketPort };
  } catch (error) {
    await child.kill9();
    throw error;
  }
}
