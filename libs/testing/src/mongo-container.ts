import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Child, startChild } from './children';
import { docker, ownerLabel, removeOrphans } from './docker';
import { type DocumentStore, storeAnswers } from './document-store';
import { freePort } from './free-port';

/**
 * Docker's MongoDB with its data in `dir`, as our own user, published on a free port of 127.0.0.1. `docker run` stays attached: the SIGTERM that ends it is passed on, so
 * the container ends with us like any child.
 */
export async function startMongoContainer(image: string, dir: string): Promise<DocumentStore> {
  const data = join(resolve(dir), 'db');
  await mkdir(data, { recursive: true });
  await removeOrphans();
  const name = `claviger-store-${randomBytes(6).toString('hex')}`;
  const port = await freePort();
  const url = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  const launch = async () => {
    const [[label, owner]] = Object.entries(ownerLabel()) as [[string, string]];
    const options = [
      '--rm',
      '--name',
      name,
      '--label',
      `${label}=${owner}`,
      '-p',
      `127.0.0.1:${port}:27017`,
      '-v',
      `${data}:/data/db`,
      '--user',
      `${process.getuid?.()}:${process.getgid?.()}`,
    ];
    const child = await startChild('docker', ['run', ...options, image], { name: 'mongo container', logFile: join(dir, 'mongo.log') });
    try {
      await child.waitForLog(/Waiting for connections|Listening on TCP/, 60_000);
      await storeAnswers(url, 30_000);
      return child;
    } catch (error) {
      await remove(child, name);
      throw error;
    }
  };
  let child = await launch();
  return {
    kind: 'docker',
    url,
    port,
    dir,
    get pid() {
      return child.pid;
    },
    logs: () => child.logs(),
    stop: () => remove(child, name),
    async kill9() {
      await docker(['kill', '-s', 'KILL', name]);
      await child.exited;
    },
    async restart() {
      await child.stop(20_000);
      child = await launch();
    },
  };
}

async function remove(child: Child, name: string): Promise<void> {
  await child.stop(20_000);
  await docker(['rm', '-f', name]).catch(() => {}); // gone with --rm, as it should be
}
