import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { givenUpAfter, StoreSilent, storeOptions } from '@claviger/operability';
import { openTestStore, type TestStore } from '@claviger/testing';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type Collection, MongoClient } from 'mongodb';
import { insertNew } from '../src/insert-new';
import { PersonalStore } from '../src/personal-store';

type Kept = { _id: number; value: Buffer };

let store: TestStore;
let proxy: Server;
let client: MongoClient;
let kept: Collection<Kept>;
/** What the way to the store does once, with what comes after the first 100 kB of a write. */
let fault: 'stand-still' | 'reset' | undefined;
const limit = 100_000;

beforeAll(async () => {
  store = await openTestStore();
  const port = Number(new URL(store.url).port);
  proxy = createServer((caller: Socket) => {
    const server = connect(port, '127.0.0.1');
    let passed = 0;
    for (const [from, to] of [
      [caller, server],
      [server, caller],
    ] as const)
      from.on('error', () => undefined).on('close', () => to.destroy());
    server.pipe(caller);
    caller.on('data', (chunk) => {
      passed += chunk.length;
      if (fault === undefined || passed < limit) server.write(chunk);
      else {
        if (fault === 'reset') caller.resetAndDestroy();
        else caller.pause();
        fault = undefined;
      }
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  client = new MongoClient(`mongodb://127.0.0.1:${(proxy.address() as { port: number }).port}/?directConnection=true`, storeOptions);
}, 60_000);
beforeEach(async () => {
  kept = client.db(store.databaseName('insert')).collection(`c${Math.random().toString(36).slice(2)}`);
  await kept.insertOne({ _id: 0, value: Buffer.from('first') });
});
afterAll(async () => {
  await client?.close(true);
  proxy?.close();
  await store?.stop();
});

/** More than the buffers of a connection hold. */
const large = (count: number): Kept[] => Array.from({ length: count }, (_, n) => ({ _id: n, value: Buffer.alloc(10_000, n) }));

test('what is there already is told, and nothing else is taken for it', async () => {
  const documents = large(3);
  expect(await insertNew(kept, documents)).toEqual([documents[0]]);
  expect(await insertNew(kept, documents)).toEqual(documents);
  expect(await insertNew(kept, [])).toEqual([]);
});

test('a connection that breaks in the middle of a write is an error, not a document that was there', async () => {
  const personal = new PersonalStore(client.db(store.databaseName('insert')), 1);
  fault = 'reset';
  await expect(insertNew(kept, large(100))).rejects.toThrow();
  const values = Array.from({ length: 300 }, (_, n) => ({ commitment: `c${n}`, salt: 's', kind: 'ip', value: 'v'.repeat(1_000) }) as never);
  fault = 'reset';
  await expect(personal.store(values)).rejects.toThrow();
  expect(await personal.store(values)).toBe(300);
});

test('a write to a store that stands still is given up, although the driver waits on; the next one goes through', async () => {
  fault = 'stand-still';
  await expect(givenUpAfter(kept.insertMany(large(2_000)), 500)).rejects.toBeInstanceOf(StoreSilent);
  await insertNew(kept, large(3));
  expect(await kept.countDocuments()).toBe(3);
});
