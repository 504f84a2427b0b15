import { type Alert, cloudEvent, toOcsf } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { NatsConnection } from '@nats-io/transport-node';
import { type Client, connect } from '../src';
import { type SmallSystem, startSmallSystem, tokenFor } from './small-system';

let system: SmallSystem;
let detector: NatsConnection;
const open = (principal: string): Promise<Client> =>
  connect({ servers: system.broker.url, principal, credential: { token: tokenFor(principal) } });

beforeAll(async () => {
  system = await startSmallSystem();
  await system.provision();
  detector = await system.detector();
});
afterAll(async () => {
  await detector.close();
  await system.stop();
});

function raise(alertId: string): false {
  const time = '2026-01-01T00:00:00.000Z';
  const alert: Alert = {
    alertId,
    detector: 'rate-spike-key',
    severity: 'high',
    title: 't',
    explanation: 'e',
    expected: '1',
    seen: '9',
    firstSeen: time,
    lastSeen: time,
    evidence: [],
    status: 'open',
  };
  const event = cloudEvent('io.claviger.alert.raised', { id: alertId, source: 'test', time, data: { alert, ocsf: toOcsf(alert) } });
  detector.publish('alerts.v1.alert.raised', JSON.stringify(event));
  return false;
}

test('live alerts arrive while they are raised, over a change of session too', async () => {
  const client = await open('security-team');
  const seen: (string | undefined)[] = [];
  const watch = new AbortController();
  const watching = (async () => {
    for await (const { alert } of client.watchAlerts({ signal: watch.signal })) seen.push(alert?.alertId);
  })();
  await until(() => raise('first') || seen.length > 0, { what: 'the first alert' });
  const session = client.session;
  await system.broker.restart();
  await until(() => client.session !== undefined && client.session !== session, { what: 'a new session', timeoutMs: 30_000 });
  await until(() => raise('second') || seen.at(-1) === 'second', { what: 'an alert on the new session' });
  watch.abort();
  await watching;
  // Published many times, each given once.
  expect(seen).toEqual(['first', 'second']);
  await client.close();
});

test('what this version cannot read is still given', async () => {
  const client = await open('security-team');
  const alerts = client.watchAlerts();
  const next = alerts.next();
  const publish = setInterval(() => detector.publish('alerts.v1.something.new', '{"specversion":"2.0"}'), 20);
  expect((await next).value).toMatchObject({ raw: '{"specversion":"2.0"}' });
  clearInterval(publish);
  await alerts.return(undefined);
  await client.close();
});

test('durable alerts wait for the security team; one that was not finished comes again', async () => {
  raise('while-away');
  await detector.flush();
  const client = await open('security-team');
  const wanted = async () => {
    for await (const notice of client.watchAlerts({ durable: true })) if (notice.alert?.alertId === 'while-away') return notice;
    return undefined;
  };
  expect((await wanted())?.alert).toMatchObject({ alertId: 'while-away', status: 'open' });
  await client.close();
});

test('who may not read alerts is told so', async () => {
  const client = await open('payments-api');
  await expect(client.watchAlerts().next()).rejects.toMatchObject({ code: 'ERR_ACCESS_DENIED' });
  await expect(client.watchAlerts({ durable: true }).next()).rejects.toMatchObject({ code: 'ERR_ACCESS_DENIED' });
  await client.close();
});
