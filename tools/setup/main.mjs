// `node tools/setup/main.mjs demo|dev|test|bench|fault-matrix|crash-rounds|conformance|setup [arguments]`: makes the machine ready, then runs the task. Idempotent, resumable, and plain
// JavaScript on Node's own modules, because nothing is installed yet when it starts.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build } from './build.mjs';
import { dependencies } from './dependencies.mjs';
import { engineAnswers } from './docker.mjs';
import { handOver } from './hand-over.mjs';
import { installKmsEmulator, kmsEmulatorFound } from './kms-emulator.mjs';
import { kryoptic, kryopticFound } from './kryoptic.mjs';
import { alone } from './lock.mjs';
import { readMachine, writeMachine } from './machine.mjs';
import { nats } from './nats.mjs';
import { nodeRuntime } from './node-runtime.mjs';
import { root } from './paths.mjs';
import { pkcs11 } from './pkcs11.mjs';
import { SetupProblem } from './problem.mjs';
import { createReport } from './report.mjs';
import { stopRunning } from './run-command.mjs';
import { store } from './store.mjs';
import { TASKS } from './tasks.mjs';
import { sweepTemporary } from './temporary.mjs';

const [name = 'setup', ...args] = process.argv.slice(2);
const task = TASKS[name];

async function setUp() {
  const report = createReport(6 + (task.kryoptic ? 1 : 0) + (task.kmsEmulator ? 1 : 0));
  await sweepTemporary();
  await report.step('dependencies', dependencies);
  const runtime = await report.step('Node 24', nodeRuntime);
  const broker = await report.step('message broker', nats);
  const token = await report.step('PKCS#11 token', pkcs11);
  if (task.kryoptic) await report.step('post-quantum token', kryoptic);
  if (task.kmsEmulator) await report.step('AWS KMS emulator', installKmsEmulator);
  const documents = await report.step('document store', (say) => store(say, { node: runtime.path, previous: readMachine()?.store }));
  writeMachine({
    ...{ nats: broker.nats, store: documents.store, pkcs11: token.pkcs11, kryoptic: kryopticFound(), kmsEmulator: kmsEmulatorFound() },
    ...{ docker: await engineAnswers(), node: runtime.path },
  });
  await report.step('programs', (say) => build(say, { node: runtime.path, builds: task.builds }));
  process.stderr.write(`ready after ${report.elapsed()}\n\n`);
  return runtime.path;
}

async function interrupted(signal) {
  process.stderr.write(`\n${signal}: stopping the set-up; the same command resumes it\n`);
  await stopRunning();
  setTimeout(() => process.exit(130), 500); // waiting for another set-up, say: nothing of ours is running
}

function explain(error) {
  if (error.message === 'stopped') return 130;
  process.stderr.write(`\nThe set-up stopped: ${error.message}\n`);
  if (!(error instanceof SetupProblem)) process.stderr.write(`${error.stack}\n`);
  for (const line of error.todo ?? []) process.stderr.write(`${line}\n`);
  return 1;
}

if (!task) {
  process.stderr.write(`usage: npm run ${Object.keys(TASKS).join('|')}\n`);
  process.exit(2);
}
const stop = (signal) => void interrupted(signal);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, stop);
let node;
try {
  node = await alone(setUp, (pid) => process.stderr.write(`another set-up of this checkout is running (pid ${pid}); waiting for it\n`));
} catch (error) {
  process.exit(explain(error));
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, stop);
if (task.program && !existsSync(join(root, task.program))) {
  process.stderr.write(`${task.program} does not exist: \`npm run ${name}\` has no program in this checkout\n`);
  process.exit(1);
}
process.exit(task.program ? await handOver(node, task.program, args) : 0);
