import type { Client } from '@claviger/client';
import { algorithms, type KeyDescription, limits, type Problem } from '@claviger/contracts';
import { differences, type WantedKey } from './wanted-keys';

export type Made = { line: number; name: string } & (
  | { outcome: 'created'; keyId: string }
  /** There is such a key already, and it is what the line asks for. */
  | { outcome: 'exists'; keyId: string }
  | { outcome: 'refused'; problem: Problem }
);

/** Pairs take long to make: the answer to a batch of them would come too late. */
const pairsPerBatch = 5;
const batchesAtOnce = 4;

/** Makes them by batches, some at the same time; what is told comes by batches, in no certain order of these. */
export async function* createMany(client: Pick<Client, 'keys' | 'principal'>, wanted: AsyncIterable<WantedKey>): AsyncGenerator<Made[]> {
  const underWay = new Set<Promise<{ made: Made[]; itself: unknown }>>();
  const next = async () => {
    const { made, itself } = await Promise.race(underWay);
    underWay.delete(itself as never);
    return made;
  };
  let failure: unknown;
  for await (const batch of batchesOf(wanted, (error) => (failure = error))) {
    if (underWay.size >= batchesAtOnce) yield await next();
    const creating: Promise<{ made: Made[]; itself: unknown }> = createBatch(client, batch).then((made) => ({ made, itself: creating }));
    underWay.add(creating);
    // It is heard of when its turn comes.
    creating.catch(() => undefined);
  }
  while (underWay.size > 0) yield await next();
  if (failure !== undefined) throw failure;
}

async function createBatch(client: Pick<Client, 'keys' | 'principal'>, batch: readonly WantedKey[]): Promise<Made[]> {
  const { results } = await client.keys.createBatch({ items: batch.map(({ key }) => key) });
  return Promise.all(
    batch.map(async (wanted, i): Promise<Made> => {
      const about = { line: wanted.line, name: wanted.key.name };
      const outcome = results[i] as (typeof results)[number];
      if ('result' in outcome) return { ...about, outcome: 'created', keyId: outcome.result.keyId };
      const { problem } = outcome as { problem: Problem };
      if (problem.code !== 'ERR_CONFLICT') return { ...about, outcome: 'refused', problem };
      const there = await keyNamed(client, wanted.key.name);
      if (!there) return { ...about, outcome: 'refused', problem };
      const differing = differences(wanted, there, client.principal);
      if (differing.length === 0) return { ...about, outcome: 'exists', keyId: there.keyId };
      const detail = `${there.keyId} has the name already, and another ${differing.join(', ')}.`;
      return { ...about, outcome: 'refused', problem: { ...problem, detail } };
    }),
  );
}

/** Undefined also where the caller may not describe it. */
async function keyNamed(client: Pick<Client, 'keys'>, name: string): Promise<KeyDescription | undefined> {
  for (let after: string | undefined; ; ) {
    const page = await client.keys.list({ filter: { namePrefix: name }, limit: limits.listPage, ...(after ? { after } : {}) });
    const found = page.keys.find((key) => key.name === name);
    if (found || !page.next) return found;
    after = page.next;
  }
}

/** As many as one request may have, by number and by bytes; pairs and secret keys apart. A file that ends in an error ends there: what came before it is made. */
async function* batchesOf(wanted: AsyncIterable<WantedKey>, onFailure: (error: unknown) => void): AsyncGenerator<WantedKey[]> {
  const open = { pairs: newBatch(), secrets: newBatch() };
  for await (const one of untilFailure(wanted, onFailure)) {
    const kind = algorithms[one.key.algorithm].pair ? 'pairs' : 'secrets';
    const bytes = Buffer.byteLength(JSON.stringify(one.key)) + 1;
    const batch = open[kind];
    const full = batch.keys.length === (kind === 'pairs' ? pairsPerBatch : limits.batchItems);
    if (full || (batch.keys.length > 0 && batch.bytes + bytes > limits.createBatchBytes)) {
      yield batch.keys;
      open[kind] = newBatch();
    }
    open[kind].keys.push(one);
    open[kind].bytes += bytes;
  }
  for (const { keys } of Object.values(open)) if (keys.length > 0) yield keys;
}

async function* untilFailure<T>(source: AsyncIterable<T>, onFailure: (error: unknown) => void): AsyncGenerator<T> {
  try {
    yield* source;
  } catch (error) {
    onFailure(error);
  }
}

/** 2: the brackets. */
const newBatch = (): { keys: WantedKey[]; bytes: number } => ({ keys: [], bytes: 2 });
