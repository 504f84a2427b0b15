// The Docker engine: is there one, can it have an image, and (for .ci/run) start one where this machine may.
// As a program: `docker.mjs start` prints the pid of the engine it started, or nothing; `docker.mjs stop PID` ends that engine.
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { aptInstall, privilege } from './apt.mjs';
import { onPath } from './on-path.mjs';
import { claviger } from './paths.mjs';
import { run } from './run-command.mjs';

const START_MS = 60_000;

export const engineAnswers = async () =>
  Boolean(onPath('docker')) && (await run('docker', ['version', '--format', '{{.Server.Version}}'], { timeoutMs: 10_000 })).code === 0;

export const imageIsHere = async (image) => (await run('docker', ['image', 'inspect', image], { timeoutMs: 10_000 })).code === 0;

/** A short question first: an engine without a way to the registry must not cost minutes. */
export async function imageToBeHad(image, say) {
  if (await imageIsHere(image)) return true;
  if ((await run('docker', ['manifest', 'inspect', image], { timeoutMs: 10_000 })).code !== 0) return false;
  say(`pulling ${image}`);
  return (await run('docker', ['pull', '-q', image], { timeoutMs: 900_000 })).code === 0;
}

/** Installs and starts an engine when we are root and none answers. @returns the pid of the engine started here, or undefined when one was there or none can be. */
export async function startEngine(say) {
  if (await engineAnswers()) return undefined;
  if (process.platform !== 'linux' || (await privilege()) !== 'root') {
    say('no Docker engine answers and this user cannot start one: tests that need it are skipped');
    return undefined;
  }
  if (!onPath('dockerd') || !onPath('containerd') || !onPath('runc') || !onPath('iptables')) {
    if (!onPath('apt-get')) return undefined;
    await aptInstall(['docker.io', 'containerd', 'runc', 'iptables'], say);
  }
  say('starting dockerd');
  mkdirSync(claviger, { recursive: true });
  const logFile = join(claviger, 'dockerd.log');
  const log = openSync(logFile, 'w');
  const engine = spawn(onPath('dockerd'), [], { detached: true, stdio: ['ignore', log, log] });
  engine.unref();
  const deadline = Date.now() + START_MS;
  while (!(await engineAnswers())) {
    if (engine.exitCode !== null || Date.now() > deadline) {
      say(`dockerd did not come up: ${readFileSync(logFile, 'utf8').trim().split('\n').at(-1)}`);
      if (engine.exitCode === null) process.kill(engine.pid, 'SIGTERM');
      return undefined;
    }
    await delay(250);
  }
  return engine.pid;
}

const isAlive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** SIGTERM, and wait: dockerd stops its containers and its containerd. */
export async function stopEngine(pid) {
  if (!isAlive(pid)) return;
  process.kill(pid, 'SIGTERM');
  const deadline = Date.now() + 30_000;
  while (isAlive(pid) && Date.now() < deadline) await delay(100);
  if (isAlive(pid)) process.kill(pid, 'SIGKILL');
}

if (process.argv[1] === import.meta.filename) {
  const [verb, pid] = process.argv.slice(2);
  const say = (text) => process.stderr.write(`docker: ${text}\n`);
  if (verb === 'start') {
    const started = await startEngine(say);
    if (started) process.stdout.write(`${started}\n`);
  } else if (verb === 'stop') await stopEngine(Number(pid));
  else process.exitCode = 2;
}
