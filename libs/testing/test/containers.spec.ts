import { dockerAvailable, startNatsContainer, startStoreContainer, until } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { MongoClient } from 'mongodb';

const testInDocker = dockerAvailable() ? test : test.skip;

testInDocker('a broker in a container keeps what it acknowledged over a restart and over kill -9, at one address', async () => {
  const broker = await startNatsContainer();
  const connection = await connect({ servers: broker.url, reconnectTimeWait: 50, maxReconnectAttempts: -1, ignoreClusterUpdates: true });
  try {
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 'S', subjects: ['s'] });
    // Until the client is back its requests fail; the id lets the broker take a repeated publish once.
    const publish = (msgID: string) =>
      until(() => jetstream(connection).publish('s', msgID, { msgID }), { what: `${msgID} to be stored`, timeoutMs: 30_000 });
    await publish('one');
    await broker.restart();
    await publish('two');
    await broker.kill9();
    await broker.start();
    const stored = async () => (await manager.streams.info('S')).state.messages;
    expect(await until(stored, { what: 'the client to be back', timeoutMs: 30_000 })).toBe(2);
  } finally {
    await connection.close();
    await broker.stop();
  }
});

testInDocker('a paused broker answers nothing, and goes on where it was', async () => {
  const broker = await startNatsContainer();
  const connection = await connect({ servers: broker.url, reconnectTimeWait: 50, maxReconnectAttempts: -1, ignoreClusterUpdates: true });
  try {
    await connection.flush();
    await broker.pause();
    const answer = connection.rtt().then(() => 'answered');
    const silence = new Promise((resolve) => setTimeout(resolve, 300, 'silent'));
    expect(await Promise.race([answer, silence])).toBe('silent');
    await broker.unpause();
    expect(await answer).toBe('answered');
  } finally {
    await connection.close();
    await broker.stop();
  }
});

testInDocker('a store in a container keeps what it acknowledged over a restart and over kill -9, at one address', async () => {
  const store = await startStoreContainer();
  const client = new MongoClient(store.url, { retryWrites: false });
  try {
    const keys = client.db('d').collection<{ _id: number }>('keys');
    await keys.insertOne({ _id: 1 }, { writeConcern: { w: 'majority', j: true } });
    await store.restart();
    await keys.insertOne({ _id: 2 }, { writeConcern: { w: 'majority', j: true } });
    await store.kill9();
    await store.start();
    expect(await keys.countDocuments()).toBe(2);
  } finally {
    await client.close();
    await store.stop();
  }
});
