import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { Tally } from './changed-decisions';
import { type ShardInput, simulationShard } from './shard';

/** What a shard is sent: leaves joined by newlines, with the index of each; or nothing, to tell what it found. */
type Batch = { readonly lines: string; readonly indexes: readonly number[] };

/** Part of a replay in a thread of its own. */
export interface ShardThread {
  /** Resolves when the thread has room for more. */
  send(batch: Batch): Promise<void>;
  drain(): Promise<Tally>;
  end(): Promise<void>;
}

/** Batches that wait in a thread at most: what is read is not kept. */
const waitingAtMost = 8;
const role = 'claviger-simulation';

/** The program itself is what runs in the thread: it is one file. */
export function startShard(input: ShardInput): ShardThread {
  const worker = new Worker(new URL(import.meta.url), { workerData: { role, input } });
  let waiting = 0;
  let wake: (() => void) | undefined;
  let drained: ((found: Tally) => void) | undefined;
  let failed: (error: Error) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    failed = reject;
  });
  // Whoever waits hears of it; if nobody does, the next one.
  failure.catch(() => {});
  worker.on('error', failed);
  worker.on('exit', () => failed(new Error('a thread of the simulation ended')));
  worker.on('message', (message: 'taken' | Tally) => {
    if (message !== 'taken') return drained?.(message);
    waiting -= 1;
    wake?.();
  });
  const room = () =>
    new Promise<void>((resolve) => {
      wake = resolve;
    });
  return {
    send: async (batch) => {
      waiting += 1;
      worker.postMessage(batch);
      while (waiting >= waitingAtMost) await Promise.race([room(), failure]);
    },
    drain: () => {
      const found = new Promise<Tally>((resolve) => {
        drained = resolve;
      });
      worker.postMessage('drain');
      return Promise.race([found, failure]);
    },
    end: async () => {
      await worker.terminate();
    },
  };
}

/** What this process does when it is such a thread; false when it is not one. */
export function servedAsShard(): boolean {
  const given = workerData as { role?: unknown; input: ShardInput } | null;
  if (isMainThread || given?.role !== role) return false;
  const shard = simulationShard(given.input);
  parentPort!.on('message', (message: Batch | 'drain') => {
    if (message === 'drain') parentPort!.postMessage(shard.drain());
    else {
      message.lines.split('\n').forEach((line, at) => {
        shard.take(line, message.indexes[at]!);
      });
      parentPort!.postMessage('taken');
    }
  });
  return true;
}
