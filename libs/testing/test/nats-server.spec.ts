import { writeFile } from 'node:fs/promises';
import { type NatsServer, startNatsServer, type TemporaryFolder, temporaryFolder, until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

let dir: TemporaryFolder;
const started: NatsServer[] = [];
const start = async (...[options]: Parameters<typeof startNatsServer>) => {
  const server = await startNatsServer(options);
  started.push(server);
  return server;
};

beforeAll(async () => {
  dir = await temporaryFolder('nats-spec');
});
afterAll(async () => {
  await Promise.all(started.map((server) => server.stop()));
  await dir.remove();
});

test('acknowledged messages outlive kill -9, and the server comes back at the same address', async () => {
  const server = await start({ dir: `${dir.path}/kill9` });
  const connection = await connect({ servers: server.url, reconnectTimeWait: 20, maxReconnectAttempts: -1 });
  try {
    await (await jetstreamManager(connection)).streams.add({ name: 'S', subjects: ['s.>'] });
    for (let number = 0; number < 20; number += 1) await jetstream(connection).publish('s.x', `${number}`);
    const { pid } = server;
    await server.kill9();
    await server.restart();
    expect(server.pid).not.toBe(pid);
    const stored = async () => (await (await jetstreamManager(connection)).streams.info('S')).state.messages;
    expect(await until(stored, { what: 'the client to be back', timeoutMs: 30_000 })).toBe(20);
  } finally {
    await connection.close();
  }
});

test('two servers run side by side on ports of their own', async () => {
  const [one, other] = await Promise.all([start({ dir: `${dir.path}/one` }), start({ dir: `${dir.path}/other` })]);
  expect(one.port).not.toBe(other.port);
  await (await connect({ servers: one.url })).close();
  await (await connect({ servers: other.url })).close();
});

test('a port of -1 in the configuration is a free one, told in `ports`', async () => {
  const server = await start({ dir: `${dir.path}/websocket`, config: 'websocket { host: 127.0.0.1, port: -1, no_tls: true }' });
  const socket = new WebSocket(`ws://127.0.0.1:${server.ports.websocket}`);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  socket.close();
});

test('reload takes a changed configuration file', async () => {
  const file = `${dir.path}/reload.conf`;
  await writeFile(file, 'authorization { user: a, password: first }');
  const server = await start({ dir: `${dir.path}/reload`, configFile: file });
  await (await connect({ servers: server.url, user: 'a', pass: 'first' })).close();
  await writeFile(file, 'authorization { user: a, password: second }');
  server.reload();
  const reconnected = async () =>
    (await connect({ servers: server.url, user: 'a', pass: 'second', reconnect: false })).close().then(() => true);
  await until(reconnected, { what: 'the new password to be taken' });
});

test('a configuration that the server refuses is an error that shows why', async () => {
  await expect(startNatsServer({ dir: `${dir.path}/wrong`, config: 'no_such_setting: 1' })).rejects.toThrow(/no_such_setting/);
});
