// FerretDB 2 in front of PostgreSQL 18 with the DocumentDB extension: a durable server that speaks MongoDB's protocol, from Debian's packages and the Go proxy.

import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { aptInstall, canInstall } from './apt.mjs';
import { extractDebian } from './debian-root.mjs';
import { findGo, goInstall } from './go.mjs';
import { onPath } from './on-path.mjs';
import { bin, cache } from './paths.mjs';
import { mustRun, run } from './run-command.mjs';
import { makeWhole } from './whole-file.mjs';

const VERSION = '2.7.0';
const MODULE = `github.com/FerretDB/FerretDB/v2/cmd/ferretdb@v${VERSION}`;
const folder = join(cache, 'documentdb-18-1');
const debian = join(folder, 'root');
/** An initialised, stopped cluster with the extension in it; each server starts from a copy. */
const cluster = join(folder, 'cluster');
const ours = join(bin, 'ferretdb');
const inRoot = join(import.meta.dirname, 'in-root.sh');

async function ferretdb() {
  for (const path of [onPath('ferretdb'), ours]) {
    if (!path || !existsSync(path)) continue;
    const { code, stdout } = await run(path, ['--version'], { timeoutMs: 10_000 });
    if (code === 0 && stdout.includes(`v${VERSION}`)) return path;
  }
  return undefined;
}

const result = (path) => ({
  store: { kind: 'ferretdb', ferretdb: path, root: debian, cluster },
  found: `FerretDB ${VERSION} on PostgreSQL 18 with DocumentDB`,
});

export async function documentDbIsHere() {
  if (!existsSync(cluster) || !(await runsHere())) return undefined;
  const path = await ferretdb();
  return path ? result(path) : undefined;
}

/** Can this user enter the root folder: as root by chroot in a mount namespace, else by bubblewrap in a user namespace? Containers often forbid both. */
async function runsHere() {
  const [command, ...args] =
    process.getuid() === 0
      ? ['unshare', '--mount', '--propagation', 'private', 'true']
      : ['bwrap', '--unshare-user', '--ro-bind', '/', '/', 'true'];
  return (await run(command, args, { timeoutMs: 10_000 })).code === 0;
}

/** What the package scripts would have done, as far as a server needs it. */
async function complete(path) {
  await writeFile(join(path, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\npostgres:x:70:70::/:/bin/sh\n');
  await writeFile(join(path, 'etc/group'), 'root:x:0:\npostgres:x:70:\n');
  for (const name of ['data', 'dev', 'proc', 'tmp']) await mkdir(join(path, name), { recursive: true });
  const extensions = join(path, 'usr/share/postgresql/18/extension');
  for (const control of readdirSync(extensions).filter((name) => name.endsWith('-3.control'))) {
    const plain = join(extensions, control.replace('-3.control', '.control'));
    if (!existsSync(plain)) await symlink(control, plain);
  }
}

/** Durable (fsync and synchronous_commit stay on); reached over a socket in the data folder only, so it needs no port and no password. */
const SETTINGS = `
listen_addresses = ''
unix_socket_directories = '/data'
shared_preload_libraries = 'pg_cron,pg_documentdb_core,pg_documentdb'
cron.database_name = 'postgres'
cron.host = '/data'
documentdb.localhost_connection_string = 'host=/data'
max_connections = 100
shared_buffers = 128MB
dynamic_shared_memory_type = mmap
max_wal_size = 512MB
wal_compression = on
jit = off
log_min_messages = warning
`;

async function makeCluster(path) {
  await mkdir(path, { recursive: true });
  const inside = (args, options) => mustRun('/bin/sh', [inRoot, debian, path, ...args], { timeoutMs: 180_000, what: args[0], ...options });
  const postgres = (name) => `/usr/lib/postgresql/18/bin/${name}`;
  await inside([postgres('initdb'), '-D', '/data/pg', '-U', 'postgres', '--auth=trust', '--no-locale', '-E', 'UTF8']);
  await writeFile(join(path, 'pg/postgresql.auto.conf'), SETTINGS);
  const script = `set -e
    ${postgres('pg_ctl')} -D /data/pg -w -l /data/log start
    trap '${postgres('pg_ctl')} -D /data/pg -w -m fast stop' EXIT
    ${postgres('psql')} -h /data -U postgres -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION documentdb CASCADE'`;
  await inside(['/bin/sh', '-c', script], { what: 'the first start of PostgreSQL' });
  await rm(join(path, 'log'), { force: true });
}

/** Makes what is missing of it; undefined where this machine cannot. */
export async function documentDb(say) {
  if (process.platform !== 'linux') return undefined;
  const [program, itsPackage] = process.getuid() === 0 ? ['mount', 'mount'] : ['bwrap', 'bubblewrap'];
  if (!onPath(program)) {
    if (!(await canInstall())) return undefined;
    await aptInstall([itsPackage], say);
  }
  if (!(await runsHere())) return undefined;
  // dash and coreutils: PostgreSQL runs shell commands of its own.
  const packages = ['base-files', 'dash', 'coreutils', 'postgresql-18-documentdb'];
  if (!existsSync(debian) && !(await extractDebian(debian, packages, say, complete))) return undefined;
  if (!existsSync(cluster)) {
    say('preparing an empty PostgreSQL cluster');
    await makeWhole(cluster, makeCluster);
  }
  let path = await ferretdb();
  if (!path) {
    const go = await findGo(say);
    if (!go) return undefined;
    say(`building FerretDB ${VERSION} (one to three minutes)`);
    await goInstall(go, MODULE, 'ferretdb', ours);
    path = ours;
  }
  return result(path);
}
