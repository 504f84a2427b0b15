import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Child, startChild } from './children';
import { type DocumentStore, storeAnswers } from './document-store';
import { freePort } from './free-port';

const START_TRIES = 3;

/** A real mongod on a free port of 127.0.0.1; its journal makes `j: true` mean fsync. */
export async function startMongod(kind: 'mongod' | 'memory-server', program: string, dir: string): Promise<DocumentStore> {
  const dbPath = join(dir, 'db');
  await mkdir(dbPath, { recursive: true });
  let { child, port } = await launchOnFreePort(program, dir, dbPath);
  const url = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  return {
    kind,
    url,
    port,
    dir,
    get pid() {
      return child.pid;
    },
    logs: () => child.logs(),
    stop: () => child.stop(20_000),
    kill9: () => child.kill9(),
    async restart() {
      await child.stop(20_000);
      child = await launch(program, dir, dbPath, port);
    },
  };
}

/** mongod cannot choose a port itself, and one that was free may be taken by the time it listens. */
async function launchOnFreePort(program: string, dir: string, dbPath: string): Promise<{ child: Child; port: number }> {
  for (let tries = 1; ; tries += 1) {
    const port = await freePort();
    try {
      return { child: await launch(program, dir, dbPath, port), port };
    } catch (error) {
      if (tries === START_TRIES || !/address already in use/i.test(String(error))) throw error;
    }
  }
}

async function launch(program: string, dir: string, dbPath: string, port: number): Promise<Child> {
  const args = [
    '--dbpath',
    dbPath,
    '--port',
    `${port}`,
    '--bind_ip',
    '127.0.0.1',
    '--unixSocketPrefix',
    dir,
    '--quiet',
    '--wiredTigerCacheSizeGB',
    '0.5',
  ];
  const child = await startChild(program, args, { name: 'mongod', logFile: join(dir, 'mongod.log') });
  try {
    await child.waitForLog(/Waiting for connections/, 60_000);
    await storeAnswers(`mongodb://127.0.0.1:${port}/?directConnection=true`, 30_000);
    return child;
  } catch (error) {
    await child.kill9();
    throw error;
  }
}
