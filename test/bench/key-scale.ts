import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, connect } from '@claviger/client';
import { until } from '@claviger/testing';
import { MongoClient } from 'mongodb';
import type { RunningService, Stack } from '../../deploy/local/stack';
import type { Bench } from './bench';
import { options } from './options';
import { cpuSecondsOf, residentMbOf } from './process-costs';

const itemsPerBatch = 100;
const batchesAtOnce = 6;

interface Latency {
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

export interface KeyScale {
  keys: number;
  load1: { before: number; after: number };
  create: { perSecond: number; refused: number; cpuSeconds: Record<string, number> };
  describe: Record<string, Latency>;
  list: Record<string, Latency & { keys: number }>;
  /** The same documents read from the store by the bench itself: what of a description, and of a page, is the store's. */
  storeAlone: Record<'one' | 'page', Latency>;
  encryptNewKey: Latency;
  residentMb: Record<string, number>;
  start: Record<string, { takesRequestsMs: number; rebuiltMs?: number; residentMb: number }>;
}

/** Scenario `keys`: that many keys are made by batches, then described, listed and used, and the services are started again with them. */
export async function keyScale({ stack, folder, administrator, callerTokens, report }: Bench): Promise<{ result: KeyScale; ok: boolean }> {
  const [caller, token] = Object.entries(callerTokens)[0] as [string, string];
  const load1 = { before: loadavg()[0] as number, after: 0 };
  const processes = () => [
    { name: 'broker', pid: stack.broker.pid },
    ...(stack.store ? [{ name: 'document store', pid: stack.store.pid }] : []),
    ...stack.services.map((s) => ({ name: s.name, pid: s.child.pid })),
    { name: 'bench', pid: process.pid },
  ];
  const before = new Map(processes().map(({ name, pid }) => [name, cpuSecondsOf(pid)]));
  const { ids, refused, seconds } = await makeKeys(administrator, caller, report);
  const cpuSeconds = Object.fromEntries(
    processes().map(({ name, pid }) => [name, Number((cpuSecondsOf(pid) - (before.get(name) ?? 0)).toFixed(1))]),
  );
  const create = { perSecond: Math.round(ids.length / seconds), refused, cpuSeconds };
  report(`${ids.length} keys made, ${create.perSecond} a second; CPU seconds ${JSON.stringify(cpuSeconds)}`);
  await delay(5_000);

  const anyKey = () => ids[Math.floor(Math.random() * ids.length)] as string;
  const describe: KeyScale['describe'] = {};
  for (const callers of [1, 4])
    describe[`${callers} at once`] = await latency(callers, 2_000, () => administrator.keys.describe({ keyId: anyKey() }));
  const list: KeyScale['list'] = {};
  const filters = { unfiltered: {}, 'by tag': { tag: { name: 'tenth', value: '3' } }, 'by prefix': { namePrefix: 'scale/1' } };
  for (const [name, filter] of Object.entries(filters)) {
    let after: string | undefined;
    let found = 0;
    const page = async () => {
      const { keys, next } = await administrator.keys.list({ filter, ...(after ? { after } : {}) });
      found += keys.length;
      after = next;
    };
    list[name] = { ...(await latency(1, 200, page)), keys: found };
  }
  const alone = await storeAlone(stack.storeUrl, anyKey);
  report(`described ${JSON.stringify(describe)}; listed ${JSON.stringify(list)}; store alone ${JSON.stringify(alone)}`);
  const use = await connect({ servers: stack.broker.url, principal: caller, credential: { token }, timeoutMs: 15_000 });
  const plaintext = Buffer.alloc(1_024);
  const encrypt = () => use.crypto.encrypt({ keyId: anyKey(), plaintext, context: { tenant: 'acme' } });
  const encryptNewKey = await latency(4, 2_000, encrypt);
  const residentMb = Object.fromEntries(processes().map(({ name, pid }) => [name, residentMbOf(pid)]));
  report(`encrypted under any of them ${JSON.stringify(encryptNewKey)}; resident MB ${JSON.stringify(residentMb)}`);

  const start: KeyScale['start'] = {};
  for (const name of ['key-lifecycle', 'crypto-worker'] as const) {
    start[name] = await restarted(stack, folder, name);
    report(`${name} with these keys: ${JSON.stringify(start[name])}`);
  }
  await administrator.keys.describe({ keyId: anyKey() });
  await encrypt();
  await use.close();
  load1.after = loadavg()[0] as number;
  const result = { keys: ids.length, load1, create, describe, list, storeAlone: alone, encryptNewKey, residentMb, start };
  console.log(JSON.stringify(result, null, 2));
  return { result, ok: refused === 0 && ids.length === options.keys };
}

async function makeKeys(administrator: Client, consumer: string, report: Bench['report']) {
  const ids: string[] = [];
  let [next, refused] = [0, 0];
  const began = performance.now();
  const maker = async () => {
    for (let from = next; from < options.keys; from = next) {
      next = Math.min(options.keys, from + itemsPerBatch);
      const items = Array.from({ length: next - from }, (_, i) => ({
        ...{ name: `scale/${from + i}`, algorithm: 'AES_256' as const, consumers: [consumer] },
        tags: { tenth: String((from + i) % 10) },
      }));
      const { results } = await administrator.keys.createBatch({ items });
      for (const outcome of results) {
        if ('result' in outcome) ids.push(outcome.result.keyId);
        else if (refused++ < 5) report(`refused: ${JSON.stringify(outcome)}`);
      }
      if (ids.length % 10_000 < itemsPerBatch) report(`${ids.length} keys after ${Math.round((performance.now() - began) / 1_000)} s`);
    }
  };
  await Promise.all(Array.from({ length: batchesAtOnce }, maker));
  return { ids, refused, seconds: (performance.now() - began) / 1_000 };
}

/** One caller, as key-lifecycle asks (key-store.ts). */
async function storeAlone(storeUrl: string, anyKey: () => string): Promise<KeyScale['storeAlone']> {
  const client = await MongoClient.connect(storeUrl);
  try {
    const keys = client.db('claviger_keys').collection<{ _id: string }>('keys');
    const projection = { outbox: 0, owed: 0, invocations: 0, told: 0, certificate: 0 };
    const one = await latency(1, 2_000, () => keys.findOne({ _id: anyKey() }, { projection }));
    let after = '';
    const page = async () => {
      const found = await keys
        .find({ _id: { $gt: after } }, { projection })
        .sort({ _id: 1 })
        .limit(100)
        .hint('_id_')
        .toArray();
      after = found.length === 100 ? (found.at(-1)?._id as string) : '';
    };
    return { one, page: await latency(1, 200, page) };
  } finally {
    await client.close();
  }
}

/** A closed loop of so many callers, after a tenth of the calls to warm up. */
async function latency(callers: number, calls: number, call: () => Promise<unknown>): Promise<Latency> {
  const took: number[] = [];
  let left = Math.ceil(calls * 1.1);
  const loop = async () => {
    while (left-- > 0) {
      const began = performance.now();
      await call();
      took.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: callers }, loop));
  const sorted = Float64Array.from(took.slice(-calls)).sort();
  const at = (q: number) => Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0).toFixed(2));
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

/** From the start of its process, by what its log says. */
async function restarted(stack: Stack, folder: string, name: RunningService['name']): Promise<KeyScale['start'][string]> {
  const old = stack.services.find((service) => service.name === name) as RunningService;
  await old.child.stop(25_000);
  stack.services.splice(stack.services.indexOf(old), 1);
  const began = Date.now();
  const { child } = await stack.start(name);
  const logFile = join(folder, 'logs', `${child.name.replace(' ', '-')}.log`);
  const at = (pattern: RegExp) => {
    const line = readFileSync(logFile, 'utf8')
      .split('\n')
      .find((one) => pattern.test(one));
    return line === undefined ? undefined : timeOf(line) - began;
  };
  const rebuilt = /the bucket holds \d+ keys/;
  if (name === 'key-lifecycle') await until(() => at(rebuilt), { what: 'the rebuild', timeoutMs: 600_000, everyMs: 500 });
  const rebuiltMs = at(rebuilt);
  return {
    ...{ takesRequestsMs: at(/takes requests/) as number, residentMb: residentMbOf(child.pid) },
    ...(rebuiltMs === undefined ? {} : { rebuiltMs }),
  };
}

/** Of a line of a log in JSON, ms since 1970. */
const timeOf = (line: string): number => {
  const { timestamp, time } = JSON.parse(line) as { timestamp?: number | string; time?: string };
  return typeof timestamp === 'number' ? timestamp : Date.parse(timestamp ?? time ?? '');
};
