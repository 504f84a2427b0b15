import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Alert, clientAlerts, cloudEvent, eventSubject, toOcsf } from '@claviger/contracts';
import { type Child, runCommand, startChild, type TemporaryFolder, temporaryFolder, until, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { cast } from '../demo/cast';
import { type System, startSystem } from './system';

let folder: TemporaryFolder;
let system: System;
let detector: NatsConnection;
let started = 0;

beforeAll(async () => {
  folder = await temporaryFolder('cli-alerts');
  system = await startSystem('cli-alerts');
  for (const { id } of Object.values(cast)) writeFileSync(file(`${id}.token`), system.tokens[id] as string, { mode: 0o600 });
  detector = await system.stack.broker.connection('anomaly-detector');
}, 180_000);
afterAll(async () => {
  await detector?.close();
  await system?.stop();
  await folder?.remove();
}, 60_000);

const file = (name: string) => join(folder.path, name);
const main = () => join(workspaceRoot(), 'dist/apps/cli/main.js');
const environment = (principal: string) => ({
  PATH: process.env.PATH,
  CLAVIGER_URL: system.stack.broker.url,
  CLAVIGER_TOKEN_FILE: file(`${principal}.token`),
  XDG_STATE_HOME: file('state'),
});
/** A watch as its own process; what it prints on standard output is in its file. */
async function watch(...args: string[]): Promise<{ child: Child; printed: () => Record<string, unknown>[] }> {
  const out = file(`watch-${started++}`);
  const command = `exec "$0" "$@" > ${out}`;
  const child = await startChild('/bin/sh', ['-c', command, process.execPath, main(), '--json', 'alerts', 'watch', ...args], {
    name: 'alerts watch',
    env: environment(cast.sam.id),
  });
  await child.waitForLog(/watching; Ctrl-C ends it/);
  const lines = () => readFileSync(out, 'utf8').split('\n').filter(Boolean);
  return { child, printed: () => lines().map((line) => JSON.parse(line) as Record<string, unknown>) };
}
const ids = (printed: () => Record<string, unknown>[]) => printed().map(({ alertId }) => alertId);

/** As the detector raises one: durable in ALERTS when this resolves. */
async function raise(alertId: string): Promise<void> {
  const time = new Date().toISOString();
  const alert: Alert = {
    alertId,
    detector: 'rate-spike-key',
    severity: 'high',
    title: 'a sudden load',
    explanation: 'e',
    expected: '1',
    seen: '9',
    firstSeen: time,
    lastSeen: time,
    evidence: [],
    status: 'open',
  };
  const type = 'io.claviger.alert.raised';
  const event = cloudEvent(type, { id: alertId, source: 'test', time, data: { alert, ocsf: toOcsf(alert) } });
  await jetstream(detector).publish(eventSubject(type), JSON.stringify(event), { msgID: alertId });
}

test('watch prints each alert as it is raised, one JSON line each, and ends with success on SIGINT', async () => {
  const { child, printed } = await watch();
  // Subscribed a moment after it says so: what is raised before that is not its to print.
  let n = 0;
  await until(() => raise(`early-${n++}`).then(() => printed().length > 0), { what: 'the first alert', everyMs: 200 });
  await raise('live-1');
  await raise('live-2');
  await until(() => ids(printed).includes('live-2'), { what: 'the last alert' });
  expect(ids(printed).filter((id) => String(id).startsWith('live-'))).toEqual(['live-1', 'live-2']);
  expect(printed().at(-1)).toMatchObject({ severity: 'high', title: 'a sudden load', status: 'open' });
  child.signal('SIGINT');
  expect(await child.exited).toMatchObject({ code: 0 });
});

test('a durable watch misses nothing that was raised while nobody watched, and gives the next one only what was not printed', async () => {
  await raise('durable-1');
  await raise('durable-2');
  const drained = await watch('--durable');
  await until(() => ids(drained.printed).includes('durable-2'), { what: 'the alerts raised before', timeoutMs: 30_000 });
  await raise('durable-3');
  await until(() => ids(drained.printed).includes('durable-3'), { what: 'the alert raised meanwhile' });
  drained.child.signal('SIGTERM');
  expect(await drained.child.exited).toMatchObject({ code: 0 });

  for (const id of ['durable-4', 'durable-5', 'durable-6']) await raise(id);
  const counted = await watch('--durable', '--count', '2');
  expect(await counted.child.exited).toMatchObject({ code: 0 });
  expect(ids(counted.printed)).toEqual(['durable-4', 'durable-5']);
  const rest = await watch('--durable', '--count', '1');
  expect(await rest.child.exited).toMatchObject({ code: 0 });
  expect(ids(rest.printed)).toEqual(['durable-6']);
  await until(async () => (await waiting()) === 0, { what: 'every printed alert to be acknowledged' });
});

/** Alerts that the team's consumer has not given, or given and not heard back of. */
async function waiting(): Promise<number> {
  const clients = await system.stack.broker.connection('provisionerClients');
  const { num_pending, num_ack_pending } = await (await jetstreamManager(clients)).consumers.info(
    clientAlerts.stream,
    clientAlerts.consumer,
  );
  await clients.close();
  return num_pending + num_ack_pending;
}

test('who may not read alerts gets none, live or durable, and hears that as a denial', async () => {
  for (const args of [[], ['--durable']]) {
    const denied = await runCommand(process.execPath, [main(), 'alerts', 'watch', ...args], {
      allowFailure: true,
      env: environment(cast.orders.id),
    });
    expect(denied.code).toBe(2);
    expect(denied.stderr).toMatch(/ERR_ACCESS_DENIED/);
    expect(denied.stdout).toBe('');
  }
});
