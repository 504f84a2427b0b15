import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@claviger/client';
import { connect } from '@claviger/client';
import { until } from '@claviger/testing';
import { type Bench, startGenerator } from './bench';
import { checkLedger, type LedgerCheck } from './ledger-check';
import type { LoadResult, Orders } from './load';
import { options } from './options';
import { objections } from './verdict';

/** Batches at once: more would measure nothing here, and starve what keeps the views fresh. */
const atOnce = 2;
const batchItems = 100;
/** Keys that the traffic uses: they are rewrapped under its hands like all others. */
const trafficKeys = 64;

export interface RewrapResult {
  keys: number;
  keysPerSecondAtMost: number;
  before: LoadResult;
  during: LoadResult;
  p99Ratio: number;
  killed: boolean;
  /** From the command to `verifying`: every key is under the new KEK. */
  rewrapSeconds: number;
  /** To `done`, the wait of two minutes included. */
  wholeSeconds: number;
  decrypted: number;
  /** Records of rewraps, and how many keys have not exactly one. */
  records: number;
  notExactlyOne: number;
  ledger: LedgerCheck;
}

/** Scenario `rewrap`: every key comes under a new KEK while they are used; with --kill key-lifecycle is killed in the middle. */
export async function rewrapping({ stack, folder, env, administrator, auditor, callerTokens, report }: Bench) {
  const pair = { environment: 'development', classification: 'internal' } as const;
  const consumers = Object.keys(callerTokens);
  const keyIds = await makeKeys(administrator, consumers);
  report(`${keyIds.length} keys are made`);
  const principal = consumers[0] as string;
  const caller = await connect({
    servers: stack.broker.url,
    principal,
    credential: { token: callerTokens[principal] as string },
    timeoutMs: 15_000,
  });
  const ciphertexts = new Map<string, string>();
  await each(chunks(keyIds), async (some) => {
    const items = some.map((keyId) => ({ keyId, plaintext: Buffer.from(keyId) }));
    for (const [i, one] of (await caller.crypto.encryptBatch({ items })).results.entries())
      if ('result' in one) ciphertexts.set(some[i] as string, one.result.ciphertext);
  });
  if (ciphertexts.size !== keyIds.length) throw new Error(`${keyIds.length - ciphertexts.size} keys encrypted nothing`);
  report('each has encrypted something');
  const { size } = await auditor.audit.checkpoint({});

  const orders = (name: string): Orders => ({
    ...{ scenario: 'encrypt', idPrefix: `bench-${name}-`, url: stack.broker.url, tokens: callerTokens, concurrency: options.concurrency },
    ...{ keys: keyIds.slice(0, trafficKeys).map((keyId) => ({ keyId, consumers })), workers: options.workers, warmSeconds: 4 },
    ...{ seconds: options.seconds, payloadBytes: 1_024, answeredFile: join(folder, `answered-${name}.txt`) },
  });
  const loads = [orders('before'), orders('during')];
  const load = async (order: Orders, meanwhile: () => Promise<void> = async () => undefined): Promise<LoadResult> => {
    const generator = await startGenerator('load', order, env);
    await generator.waitForLog(/^warm$/m, 300_000);
    const begun = meanwhile();
    process.kill(generator.pid, 'SIGUSR2');
    await Promise.all([begun, generator.exited]);
    return JSON.parse(generator.logs().trim().split('\n').at(-1) as string) as LoadResult;
  };
  const before = await load(loads[0] as Orders);
  report(`before: ${before.requestsPerSecond} req/s, p99 ${before.p99Ms} ms`);

  let jobId = '';
  let began = 0;
  const job = () => administrator.keys.describeJob({ jobId }, { timeoutMs: 30_000 });
  const during = await load(loads[1] as Orders, async () => {
    ({ jobId } = await administrator.keys.rotateKek({ ...pair, reason: 'bench' }));
    began = performance.now();
    if (!options.kill) return;
    await until(async () => (await job()).done >= keyIds.length / 3, { what: 'a third to be rewrapped', timeoutMs: 600_000, everyMs: 200 });
    const service = stack.services.find(({ name }) => name === 'key-lifecycle');
    if (!service) throw new Error('no key-lifecycle');
    report(`${(await job()).done} keys are rewrapped; key-lifecycle is killed`);
    process.kill(service.child.pid, 'SIGKILL');
    await delay(500);
    await stack.restart(service);
  });
  report(`during: ${during.requestsPerSecond} req/s, p99 ${during.p99Ms} ms`);
  let rewrapSeconds = 0;
  const seconds = () => Number(((performance.now() - began) / 1_000).toFixed(1));
  await until(
    async () => {
      const { state, phase, done, total, trouble } = await job();
      report(`${state} ${phase} ${done}/${total}${trouble ? ` ${trouble.code} ${trouble.detail}` : ''}`);
      if (rewrapSeconds === 0 && phase !== 'preparing' && phase !== 'rewrapping') rewrapSeconds = seconds();
      return state === 'done' || state === 'failed';
    },
    { what: 'the job to end', timeoutMs: 3_600_000, everyMs: 5_000 },
  );
  const wholeSeconds = seconds();
  let decrypted = 0;
  await each(chunks(keyIds), async (some) => {
    const items = some.map((keyId) => ({ keyId, ciphertext: ciphertexts.get(keyId) as string }));
    for (const [i, one] of (await caller.crypto.decryptBatch({ items })).results.entries())
      if ('result' in one && Buffer.from(one.result.plaintext).toString() === some[i]) decrypted++;
  });
  await caller.close();
  const counts = await rewrapRecords(auditor, size, jobId);
  const answered = loads.flatMap(({ answeredFile }) => readFileSync(answeredFile, 'utf8').split('\n').filter(Boolean));
  const ledger = await checkLedger(auditor, answered, size);
  const { keks } = await administrator.keys.listKeks();
  const states = keks.filter(
    ({ environment, classification }) => environment === pair.environment && classification === pair.classification,
  );
  const result: RewrapResult = {
    ...{
      keys: keyIds.length,
      keysPerSecondAtMost: options.rate,
      before,
      during,
      killed: options.kill,
      rewrapSeconds,
      wholeSeconds,
      decrypted,
    },
    p99Ratio: Number((during.p99Ms / before.p99Ms).toFixed(2)),
    records: [...counts.values()].reduce((sum, count) => sum + count, 0),
    notExactlyOne: keyIds.filter((keyId) => counts.get(keyId) !== 1).length,
    ledger,
  };
  console.log(
    `rewrap: ${result.keys} keys in ${rewrapSeconds} s (${wholeSeconds} s with the last pass), at most ${options.rate}/s${options.kill ? ', key-lifecycle killed in the middle' : ''}`,
  );
  for (const [name, { requestsPerSecond, p50Ms, p99Ms, errors }] of Object.entries({ before, during }))
    console.log(`  ${name.padEnd(6)} ${requestsPerSecond} req/s, p50 ${p50Ms} ms, p99 ${p99Ms} ms, errors ${JSON.stringify(errors)}`);
  console.log(`  p99 × ${result.p99Ratio}; ${decrypted} of ${result.keys} keys decrypt what they encrypted before`);
  console.log(
    `  ${result.records} records of rewraps, ${result.notExactlyOne} keys without exactly one; KEKs ${states.map(({ state }) => state).join(', ')}`,
  );
  console.log(`ledger: ${ledger.recorded} records for ${ledger.answered} replies, ${ledger.missing} missing, ${ledger.twice} twice`);
  const measured = [
    { name: 'before', ...before },
    { name: 'during', ...during },
  ];
  const against = [
    ...objections(measured, ledger),
    ...(decrypted === result.keys ? [] : [`${result.keys - decrypted} keys do not decrypt`]),
    ...(result.notExactlyOne === 0 ? [] : [`${result.notExactlyOne} keys without exactly one record`]),
    ...(states.map(({ state }) => state).join() === 'destroyed,active' ? [] : ['the old KEK is not destroyed']),
    ...(result.p99Ratio <= 2 ? [] : [`p99 × ${result.p99Ratio}`]),
  ];
  for (const objection of against) console.error(`FAILED: ${objection}`);
  return { result, ok: against.length === 0 };
}

async function makeKeys(administrator: Client, consumers: string[]): Promise<string[]> {
  const made: string[] = [];
  const names = Array.from({ length: options.keys }, (_, i) => `bench-rewrap-${i}`);
  await each(chunks(names), async (some) => {
    const items = some.map((name) => ({ name, algorithm: 'AES_256' as const, consumers }));
    // On a busy machine the service may call its own view stale for a moment: those are asked for again, and nothing was made of them.
    for (let left = items; left.length > 0; ) {
      const { results } = await administrator.keys.createBatch({ items: left }, { timeoutMs: 60_000 });
      made.push(...results.flatMap((one) => ('result' in one ? [one.result.keyId] : [])));
      const refused = results.find((one) => 'problem' in one && one.problem.code !== 'ERR_STATE_STALE');
      if (refused && 'problem' in refused) throw new Error(`a key was not made: ${refused.problem.code}`);
      left = left.filter((_, i) => 'problem' in (results[i] as object));
    }
  });
  return made;
}

/** How many records of its rewrap by this job each key has. */
async function rewrapRecords(auditor: Client, from: number, jobId: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const ids = new Set<string>();
  for (let next = from; ; ) {
    const page = await auditor.audit.entries({ from: next, limit: 1_000 }, { timeoutMs: 20_000 });
    for (const text of page.lines) {
      const { kind, id, record, action, reason, keyId } = JSON.parse(text) as Record<string, string>;
      if (action !== 'keys:Rewrap' || reason !== jobId) continue;
      // A record that was written as `committed` beside the operation's own is of the same rewrap.
      const of = kind === 'committed' ? record : id;
      if (ids.has(of as string)) continue;
      ids.add(of as string);
      counts.set(keyId as string, (counts.get(keyId as string) ?? 0) + 1);
    }
    next += page.lines.length;
    if (page.lines.length === 0) return counts;
  }
}

const chunks = <T>(all: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(all.length / batchItems) }, (_, i) => all.slice(i * batchItems, (i + 1) * batchItems));

async function each<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < all.length; i = next++) await work(all[i] as T);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
