import { randomUUID } from 'node:crypto';
import { until } from '@claviger/testing';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { RunningService } from '../../deploy/local/stack';
import { cast } from '../demo/cast';
import { FaultToken } from '../fault-token/fault-token';
import { LedgerCopy } from './ledger';
import { Load } from './load';
import { codeIn, type RawCaller } from './raw-caller';
import { type System, startSystem } from './system';

const sessions = 4;
let token: FaultToken;
let system: System;
let worker: RunningService;
let caller: RawCaller;
let ledger: LedgerCopy;
let aes: string;
let signer: string;

beforeAll(async () => {
  token = await FaultToken.start();
  const far = { HSM_DISTANCE: 'far', HSM_SESSIONS: String(sessions), UV_THREADPOOL_SIZE: '12', HSM_PROBE_SECONDS: '1' };
  system = await startSystem('far-token', { serviceEnv: { 'crypto-worker': { ...token.env, ...far } } });
  const [kim, ada] = await Promise.all([system.as('kim'), system.as('ada')]);
  caller = await system.raw('payments');
  ledger = new LedgerCopy(ada);
  worker = system.service('crypto-worker');
  const key = async (algorithm: 'AES_256' | 'EC_P256') =>
    (await kim.keys.create({ name: `payments/far-${algorithm.toLowerCase().replace('_', '-')}`, algorithm, consumers: [cast.payments.id] }))
      .keyId;
  [aes, signer] = [await key('AES_256'), await key('EC_P256')];
});
afterEach(async () => {
  token.clear();
  await Load.stopAll();
});
afterAll(async () => {
  await system?.stop();
  await token?.stop();
});

const encrypt = (requestId = randomUUID()) => caller.ask('crypto.encrypt', { keyId: aes, plaintext: 'bG9hZA', requestId });
const sign = () => caller.ask('crypto.sign', { keyId: signer, message: 'bG9hZA', requestId: randomUUID() });

test('calls that hang on every session: each request is a clear problem with a record, and other work goes on once they are given up', async () => {
  const load = Load.ofRaw(caller, aes, 2);
  await load.more(4, 'before');
  await load.stop();
  expect(codeIn(await sign())).toBe('OK');
  const { pid } = worker.child;
  token.hang('C_Encrypt');
  const replies = await Promise.all(Array.from({ length: 3 * sessions }, () => encrypt()));
  expect(new Set(replies.map(codeIn))).toEqual(new Set(['ERR_HSM_UNAVAILABLE']));
  expect(replies.filter(({ receipt }) => !receipt)).toEqual([]);
  // Refused without asking the token, while the calls hang on.
  expect(token.waiting('C_Encrypt')).toBe(sessions);
  expect(codeIn(await encrypt())).toBe('ERR_HSM_UNAVAILABLE');
  // Nor is it asked on the event loop by whoever looks: that call would hang, and the worker with it.
  token.hang('C_GenerateKey');
  const health = await fetch(`${worker.healthUrl}/health/ready`);
  expect({ status: health.status, text: await health.text() }).toEqual({
    status: 503,
    text: expect.stringContaining('has not answered 4 calls yet'),
  });
  const metrics = await (await fetch(`${worker.healthUrl}/metrics`)).text();
  expect(metrics).toMatch(/claviger_hsm_hanging_calls\{[^}]*token="customer"[^}]*\} 4/);
  expect(metrics).toMatch(/claviger_hsm_breaker_open\{[^}]*token="customer"[^}]*\} 1/);
  token.release();
  const again = Load.ofRaw(caller, aes, 2);
  await again.more(10, 'once they are over');
  await again.stop();
  expect(worker.child.pid).toBe(pid);
  await again.hasItsRecords(ledger);
});

test('a worker that is told to stop answers what is with the token and what waits for a session, and one whose calls hang ends all the same', async () => {
  token.latency('C_Encrypt', 300_000);
  const asked = Array.from({ length: 3 * sessions }, () => encrypt());
  await until(() => token.waiting('C_Encrypt') === sessions, { what: 'calls on every session' });
  worker.child.signal('SIGTERM');
  const replies = await Promise.all(asked);
  expect(replies.map(codeIn)).toEqual(replies.map(() => 'OK'));
  await until(() => !worker.child.running(), { what: 'the worker to end', timeoutMs: 30_000 });
  token.clear();

  worker = await system.stack.start('crypto-worker');
  expect(codeIn(await encrypt())).toBe('OK');
  token.hang('C_Encrypt');
  const held = encrypt();
  await until(() => token.waiting('C_Encrypt') === 1, { what: 'the call to hang' });
  worker.child.signal('SIGTERM');
  expect(codeIn(await held)).toBe('ERR_HSM_UNAVAILABLE');
  await until(() => !worker.child.running(), { what: 'the worker to end', timeoutMs: 40_000 });
  token.clear();
  await ledger.verify(system.stack.trustFile);
});
