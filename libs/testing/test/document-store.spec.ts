import {
  type DocumentStore,
  openTestStore,
  readMachine,
  startDocumentStore,
  type TemporaryFolder,
  temporaryFolder,
} from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { MongoClient } from 'mongodb';

const notOurs = readMachine().store.kind === 'url';
const testOwn = notOurs ? test.skip : test;

let dir: TemporaryFolder;
const started: DocumentStore[] = [];
const start = async (name: string) => {
  const store = await startDocumentStore({ dir: `${dir.path}/${name}` });
  started.push(store);
  return store;
};

beforeAll(async () => {
  dir = await temporaryFolder('store-spec');
});
afterAll(async () => {
  await Promise.all(started.map((store) => store.stop()));
  await dir.remove();
});

const majority = { writeConcern: { w: 'majority', j: true } } as const;

testOwn('acknowledged writes outlive kill -9, and the store comes back at the same address', async () => {
  const store = await start('kill9');
  const client = new MongoClient(store.url);
  const keys = client.db('d').collection<{ _id: number }>('keys');
  for (let id = 0; id < 50; id += 1) await keys.insertOne({ _id: id }, majority);
  await store.kill9();
  await store.restart();
  expect(await keys.countDocuments()).toBe(50);
  await client.close();
});

testOwn('a store stopped and started in the same folder has its data; two run side by side', async () => {
  const [first, second] = await Promise.all([start('again'), start('beside')]);
  expect(first.port).not.toBe(second.port);
  const client = new MongoClient(first.url);
  await client.db('d').collection('c').insertOne({ mark: 'first' }, majority);
  await client.close();
  await first.stop();
  const again = await start('again');
  const clients = [new MongoClient(again.url), new MongoClient(second.url)];
  const marks = await Promise.all(clients.map((one) => one.db('d').collection('c').findOne()));
  expect(marks).toEqual([expect.objectContaining({ mark: 'first' }), null]);
  await Promise.all(clients.map((one) => one.close()));
});

test('of many concurrent compare-and-sets on one version exactly one wins', async () => {
  const store = await openTestStore();
  const client = new MongoClient(store.url);
  const keys = client.db(store.databaseName('cas')).collection<{ _id: string; version: number; winner?: number }>('keys');
  await keys.insertOne({ _id: 'k', version: 1 });
  const attempts = Array.from({ length: 20 }, (_, winner) => keys.updateOne({ _id: 'k', version: 1 }, { $set: { version: 2, winner } }));
  const changed = (await Promise.all(attempts)).map(({ modifiedCount }) => modifiedCount);
  expect(changed.filter((count) => count === 1)).toHaveLength(1);
  await client.close();
  await store.stop();
});

test('openers of one shared server see only their own databases, and leave none behind', async () => {
  const shared = await openTestStore();
  const before = process.env.CLAVIGER_TEST_STORE_URL;
  process.env.CLAVIGER_TEST_STORE_URL = shared.url;
  try {
    const [one, other] = [await openTestStore(), await openTestStore()];
    expect(one.url).toBe(shared.url);
    expect(one.databaseName('keys')).not.toBe(other.databaseName('keys'));
    const client = new MongoClient(shared.url);
    await client.db(one.databaseName('keys')).collection('c').insertOne({});
    await client.db(other.databaseName('keys')).collection('c').insertOne({});
    await one.stop();
    const { databases } = await client.db().admin().listDatabases({ nameOnly: true });
    const names = databases.map(({ name }) => name);
    expect(names).toContain(other.databaseName('keys'));
    expect(names).not.toContain(one.databaseName('keys'));
    await other.stop();
    await client.close();
  } finally {
    if (before === undefined) delete process.env.CLAVIGER_TEST_STORE_URL;
    else process.env.CLAVIGER_TEST_STORE_URL = before;
    await shared.stop();
  }
});
