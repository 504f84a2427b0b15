// `npm test` after the set-up: lint, boundaries, types, every project's tests against real servers, the whole system's tests, and the demo as a check.
// All of them run, also after a failure; one line sums up. `npm test -- lint types` runs only the named ones.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { root } from './setup/paths.mjs';
import { run, stopRunning } from './setup/run-command.mjs';
import { watch } from './setup/watchdog.mjs';
import { projectsIn } from './tested.mjs';

const node = process.execPath;
const bin = (path) => join(root, 'node_modules', path);

/** One Jest for these folders: its workers share the two cores, and a Ctrl-C reaches all of them (nx gives each of its tasks a session of its own). */
const jest = (projects, ...options) => [
  '--experimental-vm-modules',
  bin('jest/bin/jest.js'),
  '--projects',
  ...projects,
  // A failed test may leave a connection open, which must not keep the whole run waiting.
  '--forceExit',
  ...options,
];

const underFaults = 'system/(faults|fault-matrix|crash-rounds|far-token|containers)';

/** Each gives arguments for Node. `jest`: its own counts are read; the others count as one. */
const CHECKS = [
  { name: 'lint', args: [bin('@biomejs/biome/bin/biome'), 'check', '.'] },
  { name: 'boundaries', args: ['tools/boundaries.mjs'] },
  { name: 'tested', args: ['tools/tested.mjs'] },
  // All projects have the same options, so one program checks all of them: seconds instead of half a minute.
  { name: 'types', args: [bin('typescript/bin/tsc'), '-p', 'tsconfig.json'] },
  { name: 'tests', args: jest(projectsIn(root).tested, '--maxWorkers=3'), jest: true },
  { name: 'system', args: jest(['test'], '--maxWorkers=3', '--testPathIgnorePatterns', underFaults), jest: true },
  // Apart from the others: what they stop, kill and hold up has to be noticed within seconds.
  { name: 'faults', args: jest(['test'], '--maxWorkers=2', '--testPathPatterns', underFaults), jest: true },
  { name: 'demo', args: ['dist/test/demo/main.js', '--check'] },
];
const LIMIT_MS = 30 * 60_000;
/** More spec files than this do not fail by chance. */
const AGAIN_MOST = 3;

/** The same Jest on these files only, one after the other. */
const alone = (args, files) => [
  ...args.slice(
    0,
    args.findIndex((arg) => arg.startsWith('--maxWorkers')),
  ),
  '--runInBand',
  '--runTestsByPath',
  ...files,
];

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours end in it
const plain = (text) => text.replace(/\x1b\[[0-9;]*m/g, '');

/** Spec files that failed, as Jest reported to `report`; none when it could not even do that. */
function failedFiles(report) {
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
    return testResults.filter(({ status }) => status === 'failed').map(({ name }) => name);
  } catch {
    return [];
  }
}

/** Sums of Jest's "Tests:  1 failed, 2 skipped, 3 passed, 6 total" lines; a suite that could not run counts as one failure. */
function jestCounts(output) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const sum = (line, kind) => Number(new RegExp(`(\\d+) ${kind}`).exec(line)?.[1] ?? 0);
  for (const [line] of plain(output).matchAll(/^Tests: +.*total$/gm))
    for (const kind of Object.keys(counts)) counts[kind] += sum(line, kind);
  for (const _ of plain(output).matchAll(/● Test suite failed to run/g)) counts.failed += 1;
  return counts;
}

/** One document store for all: starting one takes seconds. @returns its URL and how to end it */
async function startSharedStore() {
  const entry = 'libs/testing/src/shared-store';
  const built = await run(node, ['tools/build.mjs', `${entry}.ts`], { cwd: root });
  if (built.code !== 0) throw new Error(`the build of ${entry} failed:\n${built.stderr}`);
  const child = spawn(node, [`dist/${entry}.js`], { cwd: root, detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
  const forget = watch(child.pid);
  const ended = new Promise((resolve) => child.once('exit', resolve)).finally(forget);
  const url = await new Promise((resolve, reject) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
      const found = /^store (\S+)$/m.exec(text);
      if (found) resolve(found[1]);
    });
    ended.then(() => reject(new Error('the document store for the tests did not start')));
  });
  const stop = () => {
    child.kill('SIGTERM');
    return ended;
  };
  return { url, stop };
}

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !CHECKS.some((check) => check.name === name));
if (unknown) {
  process.stderr.write(`no check ${unknown}; there are: ${CHECKS.map(({ name }) => name).join(', ')}\n`);
  process.exit(2);
}

const total = { passed: 0, failed: 0, skipped: 0 };
const results = [];
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    interrupted = true;
    void stopRunning();
  });

const store = await startSharedStore();
const reports = mkdtempSync(join(tmpdir(), 'claviger-test-'));
const beside = [];
const env = { ...process.env, CLAVIGER_TEST_STORE_URL: store.url, FORCE_COLOR: process.stdout.isTTY ? '1' : '0' };
try {
  for (const { name, args, jest } of CHECKS) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    process.stdout.write(`\n── ${name}\n`);
    const started = performance.now();
    const options = { cwd: root, env, tee: process.stdout, timeoutMs: LIMIT_MS };
    const report = join(reports, `${name}.json`);
    let { code, stdout, stderr } = await run(node, jest ? [...args, '--json', `--outputFile=${report}`] : args, options);
    const counts = jest ? jestCounts(`${stdout}\n${stderr}`) : { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
    const failed = jest && code !== 0 ? failedFiles(report) : [];
    // Time limits that are wide for one test are not for three at once on two cores: a few that failed are looked at once more, alone, and named.
    if (failed.length > 0 && failed.length <= AGAIN_MOST && !interrupted) {
      process.stdout.write(`\n── ${name}, what failed once more, alone\n`);
      const again = await run(node, alone(args, failed), options);
      if (again.code === 0) {
        beside.push(...failed.map((file) => relative(root, file)));
        [code, counts.passed, counts.failed] = [0, counts.passed + counts.failed, 0];
      }
    }
    if (code !== 0 && counts.failed === 0) counts.failed = 1;
    for (const kind of Object.keys(total)) total[kind] += counts[kind];
    results.push(`${code === 0 ? '✓' : '✗'} ${name} (${Math.round((performance.now() - started) / 1000)} s)`);
  }
} catch (error) {
  if (!interrupted) throw error;
} finally {
  await store.stop();
  rmSync(reports, { recursive: true, force: true });
}

process.stdout.write(`\n${results.join('\n')}\n`);
if (beside.length > 0) process.stdout.write(`failed beside others, passed alone: ${beside.join(', ')}\n`);
if (interrupted) process.stdout.write('interrupted\n');
process.stdout.write(`Tests: ${total.passed} passed, ${total.failed} failed${total.skipped ? `, ${total.skipped} skipped` : ''}\n`);
process.exit(interrupted ? 130 : total.failed === 0 ? 0 : 1);
