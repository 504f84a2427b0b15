// FerretDB 2 in front of its own PostgreSQL. PostgreSQL runs in the unpacked Debian root (tools/setup/in-root.sh) and listens on a socket in its data folder only;
// FerretDB listens on a free port of 127.0.0.1. Durable: fsync and synchronous_commit are PostgreSQL's defaults and stay on.

import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Child, runCommand, startChild } from './children';
import { type DocumentStore, storeAnswers } from './document-store';
import { isAlive } from './is-alive';
import type { Machine } from './machine';
import { until } from './until';
import { endWithUs } from './watchdog';
import { workspaceRoot } from './workspace';

type FerretDbMachine = Extract<Machine['store'], { kind: 'ferretdb' }>;

interface Postgres {
  readonly child: Child;
  /** Of the postmaster itself; bubblewrap stands between us and it where we are not root. */
  readonly postmaster: number;
  end(signal: 'SIGINT' | 'SIGQUIT' | 'SIGKILL'): Promise<void>;
}

export async function startFerretDb(machine: FerretDbMachine, dir: string): Promise<DocumentStore> {
  await mkdir(dir, { recursive: true });
  await endLeftBehind(dir);
  await layCluster(machine.cluster, dir);
  let postgres = await startPostgres(machine.root, dir);
  let ferretdb = await startProxy(machine.ferretdb, dir, 0).catch(async (error) => {
    await postgres.end('SIGINT');
    throw error;
  });
  const { port } = ferretdb;
  const url = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  const stop = async () => {
    await ferretdb.child.stop();
    await postgres.end('SIGINT'); // "fast": ends sessions, writes a checkpoint
  };
  await storeAnswers(url, 30_000);

  return {
    kind: 'ferretdb',
    url,
    port,
    dir,
    get pid() {
      return ferretdb.child.pid;
    },
    logs: () => `${postgres.child.logs()}${ferretdb.child.logs()}`,
    stop,
    async kill9() {
      await Promise.all([ferretdb.child.kill9(), postgres.end('SIGKILL')]);
    },
    async restart() {
      await stop();
      postgres = await startPostgres(machine.root, dir);
      ferretdb = await startProxy(machine.ferretdb, dir, port);
      await storeAnswers(url, 30_000);
    },
  };
}

/** A copy of the prepared cluster, once. Renamed as the last act, so that an interrupted copy is not taken for a cluster. */
async function layCluster(cluster: string, dir: string): Promise<void> {
  const target = join(dir, 'pg');
  if (existsSync(target)) return;
  const making = `${target}.making`;
  await rm(making, { recursive: true, force: true });
  await cp(join(cluster, 'pg'), making, { recursive: true });
  await runCommand('chmod', ['700', making]);
  await rename(making, target);
}

/** PostgreSQL's own note of its pid, or undefined. */
async function postmasterPid(dir: string): Promise<number | undefined> {
  const file = await readFile(join(dir, 'pg/postmaster.pid'), 'utf8').catch(() => '');
  return Number(file.split('\n')[0]) || undefined;
}

/** Two postmasters on one cluster would destroy it: one that outlived its owner by a moment (the watchdog gives it 5 s) is waited for, then ended. */
async function endLeftBehind(dir: string): Promise<void> {
  const pid = await postmasterPid(dir);
  if (pid === undefined || !isAlive(pid)) return;
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  if (!command.includes('postgres')) return; // the number is another program's by now
  const cwd = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
  if (!cwd.includes(`CLAVIGER_CLUSTER=${dir}\0`))
    throw new Error(`process ${pid} holds ${dir}/pg and is not of this program: stop it first`);
  process.kill(pid, 'SIGINT');
  await until(() => !isAlive(pid), { what: `an earlier PostgreSQL (pid ${pid}) to end`, timeoutMs: 20_000 });
}

async function startPostgres(root: string, dir: string): Promise<Postgres> {
  const script = join(workspaceRoot(), 'tools/setup/in-root.sh');
  await rm(join(dir, '.s.PGSQL.5432'), { force: true });
  const child = await startChild('/bin/sh', [script, root, dir, '/usr/lib/postgresql/18/bin/postgres', '-D', '/data/pg'], {
    name: 'postgres',
    logFile: join(dir, 'postgres.log'),
    env: { PATH: process.env.PATH, CLAVIGER_CLUSTER: dir },
  });
  const postmaster = await until(
    async () => {
      if (!child.running()) return -1;
      const lines = (await readFile(join(dir, 'pg/postmaster.pid'), 'utf8')).split('\n');
      return lines[7]?.trim() === 'ready' && isAlive(Number(lines[0])) ? Number(lines[0]) : undefined;
    },
    { what: 'PostgreSQL to be ready', timeoutMs: 60_000 },
  );
  if (postmaster === -1) throw new Error(`PostgreSQL ended; its last lines:\n${child.logs().split('\n').slice(-15).join('\n')}`);
  const forget = postmaster === child.pid ? () => {} : endWithUs(postmaster);
  void child.exited.then(forget);
  return {
    child,
    postmaster,
    async end(signal) {
      if (!child.running()) return;
      if (isAlive(postmaster)) process.kill(postmaster, signal);
      await child.exited;
    },
  };
}

interface Proxy {
  readonly child: Child;
  readonly port: number;
}

/** Its working folder is the data folder, so that the socket's path stays short whatever the folder's own path is (the system allows 107 bytes). */
async function startProxy(program: string, dir: string, port: number): Promise<Proxy> {
  const args = [
    '--postgresql-url=postgres://postgres@/postgres?host=/proc/self/cwd',
    `--listen-addr=127.0.0.1:${port}`,
    '--debug-addr=-',
    '--no-auth',
    '--state-dir=.',
    '--telemetry=disable',
  ];
  const child = await startChild(program, args, { cwd: dir, name: 'ferretdb', logFile: join(dir, 'ferretdb.log') });
  const [, listening] = await child.waitForLog(/Listening on TCP 127\.0\.0\.1:(\d+)/);
  return { child, port: Number(listening) };
}
