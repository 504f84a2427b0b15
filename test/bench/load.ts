// The load generator, a process of its own: closed loop, `concurrency` callers, a connection for each principal. Reads its orders as JSON on standard input; says `warm`,
// begins to count at SIGUSR2, says `measured`, and prints its result.
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, connect } from '@claviger/client';
import { until } from '@claviger/testing';
import { type Prepared, preparedPerKey, type Scenario, scenarios } from './scenarios';
import { Tally } from './tally';

export interface KeyOrders {
  keyId: string;
  /** Principals that use it, in turn. */
  consumers: string[];
}

export interface Orders {
  scenario: string;
  /** Request ids begin with it; `bench-` at its beginning tells the load's records from others. */
  idPrefix: string;
  url: string;
  tokens: Record<string, string>;
  keys: KeyOrders[];
  concurrency: number;
  /** That must each have decided about each pair before the clock starts. */
  workers: number;
  warmSeconds: number;
  seconds: number;
  payloadBytes: number;
  /** Where the ids of all answered requests go, one a line. */
  answeredFile: string;
}

export interface LoadResult {
  /** Done, all items of them. */
  requests: number;
  seconds: number;
  requestsPerSecond: number;
  /** More than requests where each asks for many. */
  itemsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  /** Of the measured time, by code. */
  errors: Record<string, number>;
  cpuSeconds: number;
}

const orders = JSON.parse(readFileSync(0, 'utf8')) as Orders;
const scenario: Scenario = scenarios[orders.scenario] ?? fail(orders.scenario);
const clients = new Map<string, Client>(
  await Promise.all(
    Object.entries(orders.tokens).map(
      async ([principal, token]) =>
        [principal, await connect({ servers: orders.url, principal, credential: { token }, timeoutMs: 10_000 })] as const,
    ),
  ),
);
/** Uses of a key go through its consumers in turn. */
const clientFor = ({ consumers }: KeyOrders, use: number) => clients.get(consumers[use % consumers.length] as string) as Client;
const plaintext = randomBytes(orders.payloadBytes);
const prepared = new Map<string, Prepared[]>();
const { prepare } = scenario;
if (prepare)
  for (const key of orders.keys) {
    const { keyId } = key;
    const client = clientFor(key, 0);
    prepared.set(keyId, await Promise.all(Array.from({ length: preparedPerKey }, (_, made) => prepare(client, keyId, plaintext, made))));
  }

function fail(name: string): never {
  throw new Error(`no scenario ${name}`);
}

const tally = new Tally();
let running = true;
let warm = false;
let n = 0;

async function caller(): Promise<void> {
  while (running) {
    const number = n++;
    // Every key in turn, each time by the next of its principals.
    const round = Math.floor(number / orders.keys.length);
    const key = orders.keys[number % orders.keys.length] as KeyOrders;
    const { keyId } = key;
    const client = clientFor(key, round);
    const requestId = `${orders.idPrefix}${number.toString(36)}`;
    const context = { tenant: 'acme', document: `d-${number}` };
    const started = performance.now();
    try {
      const answers = await (warm ? scenario.request : (scenario.warm ?? scenario.request))(client, {
        keyId,
        plaintext,
        context,
        requestId,
        prepared: prepared.get(keyId)?.[round % preparedPerKey],
      });
      tally.done(requestId, answers, performance.now() - started);
    } catch (error) {
      tally.failed(error);
    }
  }
}

const callers = Array.from({ length: orders.concurrency }, caller);
const told = new Promise((resolve) => process.once('SIGUSR2', resolve));
// Every principal has used its keys, so that (nearly) every worker has decided about each pair.
const pairs = orders.keys.reduce((sum, { consumers }) => sum + consumers.length, 0);
// Whom a request goes to is chance: of eight workers one has not seen a pair after 32 uses in one case of seventy.
const uses = pairs * (orders.workers === 1 ? 1 : orders.workers * 4);
const known = { what: `${uses} requests, which use every pair of key and principal`, timeoutMs: 200_000, everyMs: 50 };
await Promise.all([delay(orders.warmSeconds * 1_000), until(() => n >= uses, known)]);
warm = true;
process.stderr.write('warm\n');
await told;
tally.measuring = true;
const cpu = process.cpuUsage();
const began = performance.now();
await delay(orders.seconds * 1_000);
tally.measuring = false;
const seconds = (performance.now() - began) / 1_000;
const { user, system } = process.cpuUsage(cpu);
running = false;
process.stderr.write('measured\n');
await Promise.all(callers);
writeFileSync(orders.answeredFile, tally.answered.join('\n'));
await Promise.all([...clients.values()].map((client) => client.close()));

const sorted = Float64Array.from(tally.latenciesMs).sort();
const at = (q: number) => Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0).toFixed(3));
const result: LoadResult = {
  requests: sorted.length,
  seconds,
  requestsPerSecond: Math.round(sorted.length / seconds),
  itemsPerSecond: Math.round(tally.items / seconds),
  p50Ms: at(0.5),
  p99Ms: at(0.99),
  maxMs: at(1),
  errors: tally.errors,
  cpuSeconds: Number(((user + system) / 1e6).toFixed(2)),
};
console.log(JSON.stringify(result));
process.exit(0);
