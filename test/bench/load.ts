// The load generator, a process of its own: closed loop, `concurrency` callers over 20 connections. Reads its orders as JSON on standard input.
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { ClavigerError, type Client, connect } from '@claviger/client';
import { answerLine } from './answer-line';
import { type Prepared, preparedPerKey, type Scenario, scenarios } from './scenarios';

export interface Orders {
  scenario: string;
  url: string;
  tokens: Record<string, string>;
  keyIds: string[];
  concurrency: number;
  warmSeconds: number;
  seconds: number;
  payloadBytes: number;
  /** Where the ids of all answered requests go, one a line. */
  answeredFile: string;
}

export interface LoadResult {
  requests: number;
  seconds: number;
  requestsPerSecond: number;
  /** More than requests where each asks for many. */
  itemsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  errors: Record<string, number>;
  cpuSeconds: number;
}

const orders = JSON.parse(readFileSync(0, 'utf8')) as Orders;
const scenario: Scenario = scenarios[orders.scenario] ?? fail(orders.scenario);
const clients: Client[] = await Promise.all(
  Object.entries(orders.tokens).map(([principal, token]) =>
    connect({ servers: orders.url, principal, credential: { token }, timeoutMs: 10_000 }),
  ),
);
const plaintext = randomBytes(orders.payloadBytes);
const prepared = new Map<string, Prepared[]>();
const { prepare } = scenario;
if (prepare)
  for (const [i, keyId] of orders.keyIds.entries()) {
    const client = clients[i % clients.length] as Client;
    prepared.set(keyId, await Promise.all(Array.from({ length: preparedPerKey }, (_, made) => prepare(client, keyId, plaintext, made))));
  }

/** At least `seconds`, at most 90 more. */
async function until(condition: () => boolean, seconds: number): Promise<void> {
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1_000;
  while (elapsed() < seconds || (!condition() && elapsed() < seconds + 90)) await new Promise((resolve) => setTimeout(resolve, 50));
}

function fail(name: string): never {
  throw new Error(`no scenario ${name}`);
}

const answered: string[] = [];
const errors: Record<string, number> = {};
let latencies: number[] = [];
let items = 0;
let running = true;
let counted = false;
let n = 0;

async function caller(): Promise<void> {
  while (running) {
    const number = n++;
    const client = clients[number % clients.length] as Client;
    // Every key with every principal, in turn.
    const keyId = orders.keyIds[(number * 7 + Math.floor(number / 100)) % orders.keyIds.length] as string;
    const requestId = `bench-${number.toString(36)}`;
    const context = { tenant: 'acme', document: `d-${number}` };
    const started = performance.now();
    try {
      const answers = await scenario.request(client, {
        keyId,
        plaintext,
        context,
        requestId,
        prepared: prepared.get(keyId)?.[Math.floor(number / orders.keyIds.length) % preparedPerKey],
      });
      if (counted) {
        latencies.push(performance.now() - started);
        items += answers.length;
      }
      for (const answer of answers) {
        if ('problem' in answer) errors['item refused'] = (errors['item refused'] ?? 0) + 1;
        else if (answer.receipt) answered.push(answerLine(requestId, answer.receipt));
        else errors['no receipt'] = (errors['no receipt'] ?? 0) + 1;
      }
    } catch (error) {
      const code = error instanceof ClavigerError ? error.code : 'unexpected';
      errors[code] = (errors[code] ?? 0) + 1;
    }
  }
}

const callers = Array.from({ length: orders.concurrency }, caller);
// Warm: every principal has used every key, so that every worker has decided about each pair.
await until(() => n >= orders.keyIds.length * clients.length * 3, orders.warmSeconds);
latencies = [];
items = 0;
counted = true;
const cpu = process.cpuUsage();
const began = performance.now();
process.stderr.write('measuring\n');
await new Promise((resolve) => setTimeout(resolve, orders.seconds * 1_000));
counted = false;
const seconds = (performance.now() - began) / 1_000;
const { user, system } = process.cpuUsage(cpu);
running = false;
process.stderr.write('measured\n');
await Promise.all(callers);
writeFileSync(orders.answeredFile, answered.join('\n'));
await Promise.all(clients.map((c) => c.close()));

const sorted = Float64Array.from(latencies).sort();
const at = (q: number) => Number((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0).toFixed(3));
const result: LoadResult = {
  requests: sorted.length,
  seconds,
  requestsPerSecond: Math.round(sorted.length / seconds),
  itemsPerSecond: Math.round(items / seconds),
  p50Ms: at(0.5),
  p99Ms: at(0.99),
  maxMs: at(1),
  errors,
  cpuSeconds: Number(((user + system) / 1e6).toFixed(2)),
};
console.log(JSON.stringify(result));
process.exit(0);
