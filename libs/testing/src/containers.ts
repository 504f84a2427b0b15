// Servers in containers, for faults that a process cannot show: a restart of the whole machine, a pause of everything in it.
// The host port is fixed, so that clients reconnect to the same address after a restart.
import type { StartedTestContainer } from 'testcontainers';
import { natsImage, storeImage } from './container-images';
import { docker, ownerLabel, removeOrphans } from './docker';
import { storeAnswers } from './document-store';
import { freePort } from './free-port';
import { DEFAULT_NATS_CONFIG } from './nats-server';
import { until } from './until';

export interface ServerContainer {
  readonly url: string;
  readonly port: number;
  /** Container id, for `docker` itself. */
  readonly id: string;
  /** SIGTERM, and up again with the same data; resolves once it answers. */
  restart(): Promise<void>;
  /** Every process in it stands still; connections stay open and nothing answers. */
  pause(): Promise<void>;
  unpause(): Promise<void>;
  kill9(): Promise<void>;
  /** After `kill9`; resolves once it answers. */
  start(): Promise<void>;
  logs(): Promise<string>;
  /** Ends and removes it with its data. */
  stop(): Promise<void>;
}

const STARTUP_MS = 60_000;

interface Recipe {
  readonly image: string;
  readonly internalPort: number;
  readonly monitorPort?: number;
  readonly port: number;
  readonly readyLog: RegExp;
  readonly files?: readonly { readonly content: string; readonly target: string }[];
  readonly command?: string[];
  url(port: number): string;
  answers(): Promise<void>;
}

async function start(recipe: Recipe): Promise<ServerContainer> {
  // Half a second to load, and few tests start a container.
  const { GenericContainer, Wait } = await import('testcontainers');
  process.env.TESTCONTAINERS_RYUK_DISABLED = 'true'; // its reaper is an image that may be out of reach; `removeOrphans` does that work
  await removeOrphans();
  const ports = [{ container: recipe.internalPort, host: recipe.port }];
  if (recipe.monitorPort !== undefined) ports.push({ container: 8222, host: recipe.monitorPort });
  const container: StartedTestContainer = await new GenericContainer(recipe.image)
    .withExposedPorts(...ports)
    .withLabels(ownerLabel())
    .withCopyContentToContainer([...(recipe.files ?? [])])
    .withCommand(recipe.command ?? [])
    .withWaitStrategy(Wait.forLogMessage(recipe.readyLog))
    .withStartupTimeout(STARTUP_MS)
    .start();
  const id = container.getId();
  await recipe.answers();
  return {
    url: recipe.url(recipe.port),
    port: recipe.port,
    id,
    async restart() {
      await docker(['restart', '-t', '15', id]);
      await recipe.answers();
    },
    pause: async () => void (await docker(['pause', id])),
    unpause: async () => void (await docker(['unpause', id])),
    kill9: async () => void (await docker(['kill', '-s', 'KILL', id])),
    async start() {
      await docker(['start', id]);
      await recipe.answers();
    },
    logs: () => docker(['logs', id]),
    stop: async () => void (await docker(['rm', '-f', '-v', id])),
  };
}

export interface NatsContainerOptions {
  /** Text of a configuration file without client and monitoring ports; default `DEFAULT_NATS_CONFIG`. */
  readonly config?: string;
  /** On the host; default a free one. */
  readonly port?: number;
}

/** A nats-server in a container; JetStream's files lie in the container and survive `restart` and `kill9`. */
export async function startNatsContainer({ config = DEFAULT_NATS_CONFIG, port }: NatsContainerOptions = {}): Promise<ServerContainer> {
  const monitorPort = await freePort();
  return start({
    image: await natsImage(),
    internalPort: 4222,
    monitorPort,
    port: port ?? (await freePort()),
    readyLog: /Server is ready/,
    files: [{ content: config, target: '/nats.conf' }],
    command: ['-c', '/nats.conf', '-p', '4222', '-m', '8222', '-sd', '/data'],
    url: (hostPort) => `nats://127.0.0.1:${hostPort}`,
    answers: async () => {
      const healthy = async () => (await fetch(`http://127.0.0.1:${monitorPort}/healthz`, { signal: AbortSignal.timeout(2_000) })).ok;
      await until(healthy, { what: 'the nats-server container to be healthy', timeoutMs: STARTUP_MS });
    },
  });
}

/** The document store in a container; its data lies in the container and survives `restart` and `kill9`. */
export async function startStoreContainer(options: { readonly port?: number } = {}): Promise<ServerContainer> {
  const port = options.port ?? (await freePort());
  const url = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  return start({
    image: await storeImage(),
    internalPort: 27017,
    port,
    readyLog: /Listening on TCP|Waiting for connections/,
    url: () => url,
    answers: () => storeAnswers(url, STARTUP_MS),
  });
}
