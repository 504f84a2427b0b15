// The Docker engine: is there one, can it have an image, and (for .ci/run) start one where this machine may.
// As a program: `docker.mjs start` prints the pid of the engine it started, or nothing when one was there; it ends with 3 where this machine cannot have one, and
// with 1 when it should but does not. `docker.mjs stop PID` ends that engine.
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { aptInstall, privilege } from './apt.mjs';
import { isAlive } from './is-alive.mjs';
import { onPath } from './on-path.mjs';
import { claviger } from './paths.mjs';
import { SetupProblem } from './problem.mjs';
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

/** May this process install and start an engine? */
const canStartEngine = async () =>
  process.platform === 'linux' && (await privilege()) === 'root' && (Boolean(onPath('dockerd')) || Boolean(onPath('apt-get')));

/** Installs and starts an engine. @returns its pid once it answers */
async function startEngine(say) {
  if (!onPath('dockerd') || !onPath('containerd') || !onPath('runc') || !onPath('iptables'))
    await aptInstall(['docker.io', 'containerd', 'runc', 'iptables'], say);
  say('starting dockerd');
  mkdirSync(claviger, { recursive: true });
  const logFile = join(claviger, 'dockerd.log');
  const log = openSync(logFile, 'w');
  const engine = spawn(onPath('dockerd'), [], { detached: true, stdio: ['ignore', log, log] });
  engine.unref();
  const deadline = Date.now() + START_MS;
  while (!(await engineAnswers())) {
    if (engine.exitCode === null && engine.signalCode === null && Date.now() < deadline) await delay(250);
    else {
      if (engine.exitCode === null && engine.signalCode === null) await stopEngine(engine.pid);
      const said = readFileSync(logFile, 'utf8').trim().split('\n').slice(-5);
      throw new SetupProblem('dockerd did not come up', [
        ...said,
        'CLAVIGER_DOCKER=off runs without an engine; tests that need one are skipped then.',
      ]);
    }
  }
  return engine.pid;
}

/** SIGTERM, and wait: dockerd stops its containers and its containerd. */
export async function stopEngine(pid) {
  if (!isAlive(pid)) return;
  process.kill(pid, 'SIGTERM');
  const deadline = Date.now() + 30_000;
  while (isAlive(pid) && Date.now() < deadline) await delay(100);
  if (isAlive(pid)) process.kill(pid, 'SIGKILL');
}

async function main([verb, pid]) {
  const say = (text) => process.stderr.write(`docker: ${text}\n`);
  if (verb === 'stop') await stopEngine(Number(pid));
  else if (verb !== 'start') process.exitCode = 2;
  else if (process.env.CLAVIGER_DOCKER === 'off') process.exitCode = 3;
  else if (await engineAnswers()) say('an engine answers');
  else if (!(await canStartEngine())) {
    say('no engine answers, and this user cannot start one: tests that need it are skipped');
    process.exitCode = 3;
  } else process.stdout.write(`${await startEngine(say)}\n`);
}

if (process.argv[1] === import.meta.filename)
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write([error.message, ...(error.todo ?? []), ''].join('\n'));
    process.exitCode = 1;
  }
