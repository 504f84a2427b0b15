import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { metrics } from '@opentelemetry/api';
import { type Check, type HealthServer, serveHealth, startTelemetry, type Telemetry } from '../src/index';

let telemetry: Telemetry;
let health: HealthServer;
let page: string | undefined;
let outcome: Record<string, Check['check']>;
const kinds = { loop: 'live', store: 'ready', audit: 'ready', token: 'part' } as const;

beforeAll(async () => {
  telemetry = await startTelemetry('spec', {});
  const checks = Object.entries(kinds).map(([name, kind]): Check => ({ name, kind, check: () => (outcome[name] as Check['check'])() }));
  const pages = { '/page': { contentType: 'text/plain', maxAgeSeconds: 60, body: () => page } };
  health = await serveHealth({ service: 'spec', host: '127.0.0.1', port: 0, checks, telemetry, pages });
});
afterAll(async () => {
  await health.close();
  await telemetry.shutdown();
});
beforeEach(async () => {
  const ok = () => ({ ok: true, detail: 'fine' });
  outcome = { loop: ok, store: ok, audit: ok, token: ok };
});
const get = async (path: string, method = 'GET') => {
  const response = await fetch(`http://127.0.0.1:${health.port}${path}`, { method });
  return { status: response.status, text: await response.text() };
};
const checksOf = async (path: string) =>
  JSON.parse((await get(path)).text) as { ok: boolean; checks: { name: string; ok: boolean; detail: string }[] };

test('all well: live and ready', async () => {
  expect((await get('/health/live')).status).toBe(200);
  expect((await get('/health/ready')).status).toBe(200);
  expect((await checksOf('/health/ready')).checks.map((c) => c.name)).toEqual(['loop', 'store', 'audit', 'token']);
});

test('a page is answered while there is one to rely on; nobody keeps that there is none', async () => {
  page = 'keys';
  expect(await get('/page')).toEqual({ status: 200, text: 'keys' });
  page = undefined;
  const response = await fetch(`http://127.0.0.1:${health.port}/page`);
  expect([response.status, response.headers.get('cache-control')]).toEqual([503, 'no-store']);
});

test('something that it needs is away: alive, not ready, and it says what', async () => {
  outcome.store = () => ({ ok: false, detail: 'check MONGODB_URL' });
  expect((await get('/health/live')).status).toBe(200);
  expect((await get('/health/ready')).status).toBe(503);
  expect((await checksOf('/health/ready')).checks[1]).toEqual({ name: 'store', ok: false, detail: 'check MONGODB_URL' });
});

test('a check that throws or rejects fails, and hides no other', async () => {
  outcome.loop = () => {
    throw new Error('no answer');
  };
  outcome.audit = () => Promise.reject(new Error('stuck'));
  expect((await get('/health/live')).status).toBe(503);
  expect((await checksOf('/health/ready')).checks.map((c) => [c.ok, c.detail])).toEqual([
    [false, 'Error: no answer'],
    [true, 'fine'],
    [false, 'Error: stuck'],
    [true, 'fine'],
  ]);
});

test('a check that hangs fails, and hides no other', async () => {
  outcome.store = () => new Promise(() => undefined);
  const { ok, checks } = await checksOf('/health/ready');
  expect([ok, checks.map((c) => c.ok)]).toEqual([false, [true, false, true, true]]);
});

test('a part that does not work is shown, and leaves the process alive and ready for the rest', async () => {
  outcome.token = () => ({ ok: false, detail: 'is away' });
  expect((await get('/health/live')).status).toBe(200);
  expect((await get('/health/ready')).status).toBe(200);
  const { ok, checks } = await checksOf('/health/ready');
  expect([ok, checks.at(-1)]).toEqual([true, { name: 'token', ok: false, detail: 'is away' }]);
});

test('metrics are served beside it', async () => {
  metrics.getMeter('claviger').createCounter('spec_things', { description: 'things' }).add(3);
  const { status, text } = await get('/metrics');
  expect(status).toBe(200);
  expect(text).toMatch(/spec_things_total\S* 3/);
});

test('nothing else is there', async () => {
  expect((await get('/')).status).toBe(404);
  expect((await get('/health/ready?x')).status).toBe(404);
  expect((await get('/health/ready', 'POST')).status).toBe(405);
});

test('a port that is taken is said at start', async () => {
  await expect(serveHealth({ service: 's', host: '127.0.0.1', port: health.port, checks: [], telemetry })).rejects.toThrow(/EADDRINUSE/);
});
