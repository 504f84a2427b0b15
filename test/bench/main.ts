// npm run bench -- SCENARIO [--concurrency N] [--seconds S] [--workers N] [--json FILE]
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Client, connect } from '@claviger/client';
import { type Child, runCommand, startChild, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { type StackPrincipal, startStack } from '../../deploy/local/stack';
import { cpuSecondsOf } from './cpu';
import { checkLedger } from './ledger-check';
import type { LoadResult, Orders } from './load';
import { type Scenario, scenarios } from './scenarios';
import { measureSuspend } from './suspend';
import type { SuspendOrders } from './suspend-load';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    concurrency: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '10' },
    workers: { type: 'string', default: '1' },
    json: { type: 'string' },
    profile: { type: 'string' },
    trials: { type: 'string', default: '100' },
  },
});
const [name = ''] = positionals;
const scenario = scenarios[name];
if (!scenario && name !== 'suspend') {
  console.error(
    `usage: npm run bench -- ${[...Object.keys(scenarios), 'suspend'].join('|')} [--concurrency N] [--seconds S] [--workers N] [--json FILE] [--profile FOLDER] [--trials N]`,
  );
  process.exit(64);
}

const keyCount = 100;
const callers = Array.from({ length: 20 }, (_, i): StackPrincipal => ({ id: `app-${i + 1}`, kind: 'service', roles: ['application'] }));
const administrator: StackPrincipal = { id: 'kim', kind: 'person', roles: ['key-administrator'] };
const auditor: StackPrincipal = { id: 'ada', kind: 'person', roles: ['auditor'] };

const officer: StackPrincipal = { id: 'sam', kind: 'person', roles: ['security-officer'] };
const everyone = [...callers, administrator, auditor, officer];

const folder = await temporaryFolder('bench');
const env: Record<string, string> = values.profile ? { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${values.profile}` } : {};
const stack = await startStack({
  dir: folder.path,
  principals: everyone,
  workers: Number(values.workers),
  env,
  report: (line) => console.error(`· ${line}`),
});
let failed = false;
try {
  const tokens = await stack.tokens(everyone);
  const as = (id: string) =>
    connect({ servers: stack.broker.url, principal: id, credential: { token: tokens[id] as string }, timeoutMs: 15_000 });
  const [kim, ada] = await Promise.all([as(administrator.id), as(auditor.id)]);
  failed = !(scenario ? await throughput(scenario, tokens, kim, ada) : await suspension(tokens, kim, ada));
  await Promise.all([kim.close(), ada.close()]);
} finally {
  await stack.stop();
  if (process.exitCode || failed) console.error(`logs are kept in ${folder.path}`);
  else await folder.remove();
}
process.exit(failed ? 1 : 0);

async function suspension(tokens: Record<string, string>, kim: Client, ada: Client): Promise<boolean> {
  const as = (id: string) =>
    connect({ servers: stack.broker.url, principal: id, credential: { token: tokens[id] as string }, timeoutMs: 15_000 });
  const sam = await as(officer.id);
  const { keyId } = await kim.keys.create({ name: 'bench-suspend', algorithm: 'AES_256', consumers: callers.map((c) => c.id) });
  await runCommand(process.execPath, ['tools/build.mjs', 'test/bench/suspend-load.ts'], { cwd: workspaceRoot() });
  const orders: SuspendOrders = {
    url: stack.broker.url,
    tokens: tokensOf(tokens, callers),
    keyId,
    concurrency: Number(values.concurrency),
    payloadBytes: 1_024,
  };
  const load = await startGenerator('test/bench/suspend-load', orders);
  const result = await measureSuspend({
    officer: sam,
    auditor: ada,
    load,
    keyId,
    trials: Number(values.trials),
    concurrency: Number(values.concurrency),
    workers: Number(values.workers),
  });
  console.log(`suspend: ${result.trials} trials, concurrency ${result.concurrency}, ${result.workers} worker(s)`);
  console.log(
    `  last recorded success after the command: p50 ${result.lastSuccessMs.p50} ms, p99 ${result.lastSuccessMs.p99} ms, max ${result.lastSuccessMs.max} ms`,
  );
  console.log(
    `  confirmed after the command:             p50 ${result.confirmedMs.p50} ms, p99 ${result.confirmedMs.p99} ms, max ${result.confirmedMs.max} ms`,
  );
  console.log(
    `  not confirmed: ${result.notConfirmed}; a success after the confirmation: ${result.successAfterConfirmed}; other errors of the load: ${result.otherErrors}`,
  );
  if (values.json) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
  await sam.close();
  // NaN when the generator did not end cleanly.
  return result.notConfirmed === 0 && result.successAfterConfirmed === 0 && result.otherErrors === 0;
}

function tokensOf(tokens: Record<string, string>, principals: StackPrincipal[]): Record<string, string> {
  return Object.fromEntries(principals.map((p) => [p.id, tokens[p.id] as string]));
}

function startGenerator(program: string, orders: Orders | SuspendOrders): Promise<Child> {
  return startChild(process.execPath, ['--enable-source-maps', `dist/${program}.js`], {
    cwd: workspaceRoot(),
    env: { ...process.env, ...env },
    input: JSON.stringify(orders),
    name: 'load generator',
  });
}

async function throughput(scenario: Scenario, tokens: Record<string, string>, kim: Client, ada: Client): Promise<boolean> {
  const keyIds: string[] = [];
  for (let i = 0; i < keyCount; i++)
    keyIds.push((await kim.keys.create({ name: `bench-${i}`, algorithm: scenario.algorithm, consumers: callers.map((c) => c.id) })).keyId);
  console.error(`· ${keyCount} keys made; load`);
  const before = await ada.audit.checkpoint({});

  await runCommand(process.execPath, ['tools/build.mjs', 'test/bench/load.ts'], { cwd: workspaceRoot() });
  const processes = [
    { name: 'broker', pid: stack.broker.pid },
    ...(stack.store ? [{ name: 'document store', pid: stack.store.pid }] : []),
    ...stack.services.map((s) => ({ name: s.child.name, pid: s.child.pid })),
  ];
  const orders: Orders = {
    scenario: name,
    url: stack.broker.url,
    tokens: tokensOf(tokens, callers),
    keyIds,
    concurrency: Number(values.concurrency),
    warmSeconds: 4,
    seconds: Number(values.seconds),
    payloadBytes: 1_024,
    answeredFile: join(folder.path, 'answered.txt'),
  };
  const generator = await startGenerator('test/bench/load', orders);
  // CPU is counted while the clock runs, not during the warm-up.
  await generator.waitForLog(/^measuring$/m, 180_000);
  const cpuBefore = processes.map((p) => cpuSecondsOf(p.pid));
  await generator.waitForLog(/^measured$/m, 600_000);
  const cpu = Object.fromEntries(processes.map((p, i) => [p.name, Number((cpuSecondsOf(p.pid) - (cpuBefore[i] ?? 0)).toFixed(2))]));
  await generator.exited;
  const load = JSON.parse(generator.logs().trim().split('\n').at(-1) as string) as LoadResult;
  const answered = readFileSync(orders.answeredFile, 'utf8').split('\n').filter(Boolean);
  const ledger = await checkLedger(ada, answered, before.size);
  const result = {
    scenario: name,
    concurrency: orders.concurrency,
    workers: Number(values.workers),
    ...load,
    cpuSecondsByProcess: { ...cpu, 'load generator': load.cpuSeconds },
    ledger,
  };
  console.log(
    `${name}: ${load.requestsPerSecond} req/s${load.itemsPerSecond === load.requestsPerSecond ? '' : ` with ${load.itemsPerSecond} items/s`}, p50 ${load.p50Ms} ms, p99 ${load.p99Ms} ms, concurrency ${orders.concurrency}, ${values.workers} worker(s), errors ${JSON.stringify(load.errors)}`,
  );
  for (const [process_, seconds] of Object.entries(result.cpuSecondsByProcess)) console.log(`  ${process_.padEnd(20)} ${seconds} CPU s`);
  console.log(
    `ledger: ${ledger.recorded} records for ${ledger.answered} replies, ${ledger.missing} missing, ${ledger.twice} twice, ${ledger.repeatedByClient} more of requests that the client repeated (caught up ${ledger.caughtUpSeconds} s after the load)`,
  );
  if (values.json) writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
  if (ledger.missing > 0 || ledger.twice > 0) console.error('the ledger does not hold exactly one record per reply');
  return ledger.missing === 0 && ledger.twice === 0 && load.requests > 0;
}
