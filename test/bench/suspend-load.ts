// The load of the suspend scenario, a process of its own: closed loop on one key. Reads its orders as JSON on standard input. Says "loaded N." once,
// when the load is full: some hundred successes since the start, and since each SIGUSR2 (the key was resumed).
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ClavigerError, type Client, connect } from '@claviger/client';
import type { ErrorCode } from '@claviger/contracts';

export interface SuspendOrders {
  url: string;
  tokens: Record<string, string>;
  keyId: string;
  concurrency: number;
  payloadBytes: number;
  /** What callers are told while they are stopped. */
  refusal: ErrorCode;
}

const orders = JSON.parse(readFileSync(0, 'utf8')) as SuspendOrders;
const clients = await Promise.all(
  Object.entries(orders.tokens).map(([principal, token]) =>
    connect({ servers: orders.url, principal, credential: { token }, timeoutMs: 10_000 }),
  ),
);
const plaintext = Buffer.alloc(orders.payloadBytes);
const full = orders.concurrency * 4;
let running = true;
let successes = 0;
let awaited = true;
let times = 0;
let otherErrors = 0;

const callers = Array.from({ length: orders.concurrency }, async (_, i) => {
  const client = clients[i % clients.length] as Client;
  while (running) {
    try {
      await client.crypto.encrypt({ keyId: orders.keyId, plaintext });
      if (++successes < full || !awaited) continue;
      awaited = false;
      console.log(`loaded ${++times}.`);
    } catch (error) {
      // Anything else is counted: a load that dies unseen would make the numbers look better than they are.
      if (!(error instanceof ClavigerError) || error.code !== orders.refusal) otherErrors++;
      await delay(5);
    }
  }
});
process.on('SIGUSR2', () => {
  successes = 0;
  awaited = true;
});
process.once('SIGTERM', () => {
  running = false;
});
await Promise.all(callers);
console.log(`other errors ${otherErrors}.`);
await Promise.all(clients.map((c) => c.close()));
process.exit(0);
