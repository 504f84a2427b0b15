import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@claviger/client';
import type { Child } from '@claviger/testing';
import { type Bench, startGenerator } from './bench';
import { decisionsOf } from './counters';
import { checkLedger, type LedgerCheck } from './ledger-check';
import type { KeyOrders, LoadResult, Orders } from './load';
import type { LoopDelay } from './loop-delay';
import { options } from './options';
import { cpuSecondsOf, residentMbOf } from './process-costs';
import { type Scenario, scenarios } from './scenarios';
import { objections } from './verdict';
import { watchLoops } from './worker-loops';

const keysAtOnce = 16;

export interface Throughput {
  measured: (LoadResult & { name: string; concurrency: number })[];
  load: { token: string; keys: number; principals: number; consumersOfAKey: number; workers: number; decisionsRemembered: number };
  cost: Record<string, { cpuSeconds: number; residentMb: { before: number | undefined; after: number } }>;
  /** How late the worst worker's event loop was. */
  workerLoop: LoopDelay;
  ledger: LedgerCheck;
}

/** A scenario of closed-loop load, alone or with another one beside it. */
export async function throughput(bench: Bench): Promise<{ result: Throughput; ok: boolean }> {
  const { stack, auditor, report } = bench;
  const loads = [{ name: options.scenario, concurrency: options.concurrency }];
  if (options.beside !== undefined) loads.push({ name: options.beside, concurrency: options.besideConcurrency });
  const orders: Orders[] = [];
  for (const [i, { name, concurrency }] of loads.entries())
    orders.push({
      ...{
        scenario: name,
        idPrefix: `bench-${i}-`,
        url: stack.broker.url,
        tokens: bench.callerTokens,
        concurrency,
        workers: options.workers,
      },
      keys: await makeKeys(bench.administrator, scenarios[name] as Scenario, `${name}-${i}`, Object.keys(bench.callerTokens)),
      ...{ warmSeconds: 4, seconds: options.seconds, payloadBytes: 1_024, answeredFile: join(bench.folder, `answered-${i}.txt`) },
    });
  report(`${options.keys} keys made for each scenario; ${Object.keys(bench.callerTokens).length} principals connect and use them`);
  const { size: before } = await auditor.audit.checkpoint({});

  const workers = stack.services.filter(({ name }) => name === 'crypto-worker');
  const processes = [
    { name: 'broker', pid: stack.broker.pid },
    ...(stack.store ? [{ name: 'document store', pid: stack.store.pid }] : []),
    ...stack.services.map((s) => ({ name: s.child.name, pid: s.child.pid })),
  ];
  const generators: Child[] = [];
  for (const order of orders) generators.push(await startGenerator('load', order, bench.env));
  // CPU is counted while the clock runs, not during the warm-up.
  await Promise.all(generators.map((generator) => generator.waitForLog(/^warm$/m, 300_000)));
  report(`every pair of key and principal is known; ${options.seconds} s of load are measured`);
  for (const { pid } of generators) process.kill(pid, 'SIGUSR2');
  const watched = watchLoops(
    bench.folder,
    workers.map(({ child }) => child.pid),
  );
  const decided = await decisionsOf(workers.map(({ healthUrl }) => healthUrl));
  const costs = processes.map(({ pid }) => ({ cpu: cpuSecondsOf(pid), rss: residentMbOf(pid) }));
  await Promise.all(generators.map((generator) => generator.waitForLog(/^measured$/m, (options.seconds + 60) * 1_000)));
  const cost = Object.fromEntries(
    processes.map(({ name, pid }, i) => [
      name,
      {
        cpuSeconds: Number((cpuSecondsOf(pid) - (costs[i]?.cpu ?? 0)).toFixed(2)),
        residentMb: { before: costs[i]?.rss, after: residentMbOf(pid) },
      },
    ]),
  );
  const workerLoop = await watched();
  const decisions = await decisionsOf(workers.map(({ healthUrl }) => healthUrl));
  const remembered = decisions.memory - decided.memory;
  const rememberedShare = Number((remembered / (remembered + decisions.evaluation - decided.evaluation)).toFixed(4));
  await Promise.all(generators.map((generator) => generator.exited));

  const measured = generators.map((generator, i) => ({
    ...(loads[i] as { name: string; concurrency: number }),
    ...(JSON.parse(generator.logs().trim().split('\n').at(-1) as string) as LoadResult),
  }));
  const answered = orders.flatMap(({ answeredFile }) => readFileSync(answeredFile, 'utf8').split('\n').filter(Boolean));
  const ledger = await checkLedger(auditor, answered, before);
  const { token, keys, principals, consumers, workers: workerCount } = options;
  const load = { token, keys, principals, consumersOfAKey: consumers, workers: workerCount, decisionsRemembered: rememberedShare };

  for (const { name, concurrency, requestsPerSecond, itemsPerSecond, p50Ms, p99Ms, errors } of measured)
    console.log(
      `${name}: ${requestsPerSecond} req/s${itemsPerSecond === requestsPerSecond ? '' : ` with ${itemsPerSecond} items/s`}, p50 ${p50Ms} ms, p99 ${p99Ms} ms, concurrency ${concurrency}, ${workerCount} worker(s), errors ${JSON.stringify(errors)}`,
    );
  console.log(
    `  ${keys} keys with ${consumers} consumers each, ${principals} principals; ${(100 * rememberedShare).toFixed(2)} % of the policy decisions were remembered`,
  );
  for (const [name, { cpuSeconds, residentMb }] of Object.entries(cost))
    console.log(`  ${name.padEnd(20)} ${String(cpuSeconds).padStart(7)} CPU s, ${residentMb.before} → ${residentMb.after} MB resident`);
  for (const { cpuSeconds } of measured) console.log(`  ${'load generator'.padEnd(20)} ${String(cpuSeconds).padStart(7)} CPU s`);
  console.log(`  event loop of the worst worker: ${workerLoop.p50Ms} ms late at p50, ${workerLoop.p99Ms} ms at p99`);
  console.log(
    `ledger: ${ledger.recorded} records for ${ledger.answered} replies, ${ledger.missing} missing, ${ledger.twice} twice, ${ledger.repeatedByClient} more of requests that the client repeated (caught up ${ledger.caughtUpSeconds} s after the load)`,
  );
  const against = objections(measured, ledger);
  for (const objection of against) console.error(`FAILED: ${objection}`);
  return { result: { measured, load, cost, workerLoop, ledger }, ok: against.length === 0 };
}

/** Each principal gets the same number of keys; which ones is a different mix for each. */
async function makeKeys(administrator: Client, { algorithm }: Scenario, name: string, principals: string[]): Promise<KeyOrders[]> {
  const made: KeyOrders[] = [];
  let next = 0;
  const maker = async () => {
    for (let i = next++; i < options.keys; i = next++) {
      const consumers = Array.from({ length: options.consumers }, (_, j) => principals[(i + j * 7) % principals.length] as string);
      const { keyId } = await administrator.keys.create({ name: `bench-${name}-${i}`, algorithm, consumers: [...new Set(consumers)] });
      made[i] = { keyId, consumers };
    }
  };
  await Promise.all(Array.from({ length: keysAtOnce }, maker));
  return made;
}
