import { buckets, consumers, internalSubject, requestSubject, streams } from '@claviger/contracts';
import { type Broker, startBroker, temporaryFolder, until } from '@claviger/testing';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection, PermissionViolationError } from '@nats-io/transport-node';
import { provision, type ServiceName, serviceNames } from '../src/index';

let broker: Broker;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const connections = new Map<string, NatsConnection>();
const denied = new Map<string, Set<string>>();

beforeAll(async () => {
  folder = await temporaryFolder('permissions-spec');
  broker = await startBroker({ dir: folder.path });
  for (const user of [...serviceNames, 'provisionerCore', 'provisionerClients'] as const) {
    const connection = await broker.connection(user);
    const subjects = new Set<string>();
    connections.set(user, connection);
    denied.set(user, subjects);
    void (async () => {
      for await (const status of connection.status())
        if (status.type === 'error' && status.error instanceof PermissionViolationError)
          subjects.add(`${status.error.operation} ${status.error.subject}`);
    })();
  }
}, 120_000);
afterAll(async () => {
  await Promise.all([...connections.values()].map((c) => c.close()));
  await broker.stop();
  await folder.remove();
});

const as = (user: string) => connections.get(user) as NatsConnection;
/** Denials come back asynchronously, before the answer to a later ping. */
async function refusedPublishes(user: string, subjects: readonly string[]): Promise<string[]> {
  for (const subject of subjects) as(user).publish(subject, '');
  await as(user).flush();
  await until(() => subjects.every((s) => denied.get(user)?.has(`publish ${s}`)), { what: 'denials', timeoutMs: 1_000 }).catch(
    () => undefined,
  );
  return subjects.filter((s) => denied.get(user)?.has(`publish ${s}`));
}

const request = requestSubject({ principal: 'payments-api', session: 'S'.repeat(22), service: 'crypto', verb: 'encrypt' });
const streamNames = [...Object.keys(streams), ...Object.keys(buckets).map((bucket) => `KV_${bucket}`)];
const ownBuckets: Partial<Record<ServiceName, string[]>> = { 'key-lifecycle': ['keys'], policy: ['sessions', 'policy', 'changes'] };
const ownStreams: Record<ServiceName, string[]> = {
  'crypto-worker': [],
  'key-lifecycle': ['keys.v1'],
  policy: ['policy.v1'],
  audit: ['ledger.v1'],
  'anomaly-detector': ['alerts.v1'],
};

describe.each(serviceNames)('%s', (service) => {
  const others = serviceNames.filter((name) => name !== service);

  test('cannot speak as a caller', async () => {
    const subjects = [request, 'claviger.v1.x', 'claviger.v1.audit.AAAAAAAAAAAAAAAAAAAAAA.keys.create'];
    expect(await refusedPublishes(service, subjects)).toEqual(subjects);
  });

  test('cannot delete, purge, update or make a stream, nor delete one of its messages', async () => {
    const subjects = streamNames.flatMap((name) =>
      ['DELETE', 'PURGE', 'UPDATE', 'CREATE', 'MSG.DELETE', 'SNAPSHOT', 'RESTORE'].map((verb) => `$JS.API.STREAM.${verb}.${name}`),
    );
    expect(await refusedPublishes(service, subjects)).toEqual(subjects);
  });

  test("cannot write a bucket that it does not own, nor another's probe", async () => {
    const subjects = Object.keys(buckets)
      .filter((bucket) => !ownBuckets[service]?.includes(bucket))
      .flatMap((bucket) => [
        `$KV.${bucket}.k_AAAAAAAAAAAAAAAAAAAAAA`,
        `$KV.${bucket}.mark`,
        ...others.map((other) => `$KV.${bucket}.probe.${other}.x`),
      ]);
    expect(await refusedPublishes(service, subjects)).toEqual(subjects);
  });

  test("cannot write another's stream, and no batch of another service", async () => {
    const subjects = [
      ...Object.values(ownStreams)
        .flat()
        .filter((prefix) => !ownStreams[service].includes(prefix))
        .map((prefix) => `${prefix}.x.y`),
      ...others.map((other) => `audit.v1.${other}.w1`),
      'signals.v1.identity.x',
      `dead.v1.SIGNALS.x`,
    ];
    expect(await refusedPublishes(service, subjects)).toEqual(subjects);
  });

  test("cannot settle another's consumer, nor change one", async () => {
    const own: Partial<Record<ServiceName, string[]>> = {
      audit: [consumers.auditLedger.name],
      'anomaly-detector': [consumers.auditDetector.name, consumers.ledgerDetector.name],
    };
    const subjects = Object.values(consumers)
      .filter(({ name }) => !own[service]?.includes(name))
      .flatMap(({ stream, name }) => [
        `$JS.ACK.${stream}.${name}.1.1.1.1.0`,
        `$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`,
        `$JS.API.CONSUMER.DELETE.${stream}.${name}`,
        `$JS.API.CONSUMER.CREATE.${stream}.${name}`,
        `$JS.API.CONSUMER.CREATE.${stream}`,
      ]);
    expect(await refusedPublishes(service, subjects)).toEqual(subjects);
  });

  test('may speak on internal subjects only to whom it has to', async () => {
    const may: Partial<Record<ServiceName, string[]>> = {
      'key-lifecycle': ['hsm'],
      policy: ['audit'],
    };
    const subjects = ['hsm', 'audit', 'keys', 'policy']
      .filter((s) => !may[service]?.includes(s))
      .map((s) => internalSubject(s, 'personal'));
    expect(await refusedPublishes(service, subjects)).toEqual(subjects);
  });

  test("cannot listen to another's replies, to everything, or to callers of another service", async () => {
    const foreign = service === 'crypto-worker' ? 'claviger.v1.*.*.keys.*' : 'claviger.v1.*.*.crypto.*';
    const subjects = ['>', '_INBOX.>', `_INBOX.core.${others[0]}.>`, foreign, 'claviger.v1.>', '$KV.>', 'audit.v1.>'];
    for (const subject of subjects) as(service).subscribe(subject, { callback: () => undefined });
    await as(service).flush();
    await until(() => subjects.every((s) => denied.get(service)?.has(`subscription ${s}`)), { what: 'denials' });
  });
});

test.each(['provisionerCore', 'provisionerClients'])('%s, who makes streams, deletes and purges none', async (user) => {
  const subjects = streamNames.flatMap((name) => ['DELETE', 'PURGE', 'MSG.DELETE'].map((verb) => `$JS.API.STREAM.${verb}.${name}`));
  expect(await refusedPublishes(user, subjects)).toEqual(subjects);
});

test('a holder cannot empty a bucket by a rollup on its own probe', async () => {
  const jsm = await jetstreamManager(as('provisionerCore'));
  await as('key-lifecycle').request('$KV.keys.k_AAAAAAAAAAAAAAAAAAAAAA', 'a record', { timeout: 2_000 });
  for (const scope of ['all', 'sub']) {
    const rollup = headers();
    rollup.set('Nats-Rollup', scope);
    const answer = await as('crypto-worker').request('$KV.keys.probe.crypto-worker.w1', 'x', { headers: rollup, timeout: 2_000 });
    expect(answer.json()).toMatchObject({ error: { description: expect.stringMatching(/rollup/) } });
  }
  expect((await jsm.streams.getMessage('KV_keys', { last_by_subj: '$KV.keys.k_AAAAAAAAAAAAAAAAAAAAAA' }))?.string()).toBe('a record');
});

test('provisioning again changes nothing and loses nothing', async () => {
  const [core, clients] = [as('provisionerCore'), as('provisionerClients')];
  const jsm = await jetstreamManager(core);
  const configurations = async () => {
    const found: unknown[] = [];
    for await (const { config, state } of jsm.streams.list()) found.push([config, state.messages]);
    return found;
  };
  const before = await configurations();
  const said: string[] = [];
  await provision({ core, clients, replicas: 1, report: (line) => void said.push(line) });
  expect(said.length).toBeGreaterThan(10);
  expect(said.every((line) => line.startsWith('kept '))).toBe(true);
  expect(await configurations()).toEqual(before);
  const audit = (await jsm.streams.info('AUDIT')).config;
  expect([audit.deny_delete, audit.deny_purge, audit.max_age, audit.discard]).toEqual([true, true, 0, 'new']);
});
