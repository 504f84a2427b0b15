// Step: the document store. MONGODB_URL, mongod on PATH, Docker's mongo:8, the mongod that mongodb-memory-server downloads, else FerretDB 2 on
// PostgreSQL with DocumentDB. Each is a real, durable server; never a mock, and never FerretDB 1 (it loses concurrent updates).
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { engineAnswers, imageIsHere, imageToBeHad } from './docker.mjs';
import { documentDb, documentDbIsHere } from './documentdb.mjs';
import { atLeast, onPath, versionIn } from './on-path.mjs';
import { cache, root } from './paths.mjs';
import { SetupProblem } from './problem.mjs';
import { mustRun, run } from './run-command.mjs';

const IMAGE = 'mongo:8';
const MINIMUM = [7, 0];

async function mongodOnPath() {
  const path = onPath('mongod');
  if (!path) return undefined;
  const version = versionIn((await run(path, ['--version'], { timeoutMs: 10_000 })).stdout);
  return atLeast(version, MINIMUM) ? { store: { kind: 'mongod', path }, found: `mongod ${version.join('.')}, ${path}` } : undefined;
}

const inDocker = { store: { kind: 'docker', image: IMAGE }, found: `Docker image ${IMAGE}` };

/** The library knows which archive fits this system; ask it first whether that can be reached at all, so that a closed network costs seconds, not minutes. */
async function downloadedMongod(node, say) {
  const script = (text) => ['--input-type=module', '-e', text];
  const options = JSON.stringify({ downloadDir: join(cache, 'mongod'), checkMD5: true });
  const probe = `
    import { DryMongoBinary } from 'mongodb-memory-server-core/lib/util/DryMongoBinary.js';
    import { MongoBinaryDownloadUrl } from 'mongodb-memory-server-core/lib/util/MongoBinaryDownloadUrl.js';
    const options = await DryMongoBinary.generateOptions(${options});
    const here = await DryMongoBinary.locateBinary(options);
    if (!here) {
      const url = await new MongoBinaryDownloadUrl(options).getDownloadUrl();
      const answer = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(8000) });
      if (!answer.ok) process.exit(3);
    }`;
  if ((await run(node, script(probe), { cwd: root, timeoutMs: 20_000 })).code !== 0) return undefined;
  say('downloading mongod (about 100 MB)');
  const get = `
    import { MongoBinary } from 'mongodb-memory-server-core/lib/util/MongoBinary.js';
    console.log(await MongoBinary.getPath(${options}));`;
  const { stdout } = await mustRun(node, script(get), { cwd: root, timeoutMs: 900_000, what: 'the download of mongod' });
  const path = stdout.trim().split('\n').at(-1);
  return { store: { kind: 'memory-server', path }, found: `mongod downloaded by mongodb-memory-server, ${path}` };
}

/** @param {{ node: string, previous: object | undefined }} known what earlier steps and an earlier set-up found */
export async function store(say, { node, previous }) {
  if (process.env.MONGODB_URL) return { store: { kind: 'url', url: process.env.MONGODB_URL }, found: 'MONGODB_URL' };
  const mongod = await mongodOnPath();
  if (mongod) return mongod;
  if ((await engineAnswers()) && (await imageIsHere(IMAGE))) return inDocker;
  // What an earlier set-up settled on stays: looking for better means waiting for networks that do not answer.
  if (previous?.kind === 'memory-server' && existsSync(previous.path))
    return { store: previous, found: `mongod downloaded earlier, ${previous.path}` };
  const here = await documentDbIsHere();
  if (here) return here;
  say('looking for MongoDB');
  if ((await engineAnswers()) && (await imageToBeHad(IMAGE, say))) return inDocker;
  const downloaded = await downloadedMongod(node, say);
  if (downloaded) return downloaded;
  const built = await documentDb(say);
  if (built) return built;
  throw new SetupProblem('no document store', [
    'Any one of these will do; then run the same command again:',
    '  a running MongoDB 7 or newer: export MONGODB_URL=mongodb://…',
    '  mongod on PATH (macOS: brew tap mongodb/brew && brew install mongodb-community)',
    '  a running Docker engine that can pull mongo:8',
    '  on Debian or Ubuntu, outside a container that forbids namespaces: sudo apt-get install -y mmdebstrap debian-archive-keyring bubblewrap',
  ]);
}
