import { until } from '@claviger/testing';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { RunningService } from '../../deploy/local/stack';
import { cast } from '../demo/cast';
import { FaultToken } from '../fault-token/fault-token';
import { faults } from './fault-cells';
import { type FaultyOperation, faultyOperations } from './fault-operations';
import { LedgerCopy } from './ledger';
import { Load } from './load';
import { type System, startSystem } from './system';

/** `npm run fault-matrix`: every fault with every operation, under more load. Else each fault meets one operation, in turn. */
const thorough = process.env.CLAVIGER_FAULT_MATRIX === 'thorough';
const concurrency = thorough ? 16 : 4;
const answersWhile = thorough ? 200 : 12;
const answersAfter = thorough ? 500 : 20;
const operationNames = ['encrypt', 'decrypt', 'sign', 'sign with RSA', 'datakey'];
/** What a caller may hear of a token in trouble. The worker that its token held up says that it has no proof of being current. */
const clear = ['OK', 'ERR_HSM_UNAVAILABLE', 'ERR_AUDIT_UNAVAILABLE', 'ERR_STATE_STALE'];

let token: FaultToken;
let system: System;
let worker: RunningService;
let operations: Record<string, FaultyOperation>;
let ledger: LedgerCopy;
const loads: Load[] = [];

beforeAll(async () => {
  token = await FaultToken.start();
  system = await startSystem('fault-matrix', { serviceEnv: { 'crypto-worker': { ...token.env, HSM_PROBE_SECONDS: '1' } } });
  const [kim, ada, caller] = await Promise.all([system.as('kim'), system.as('ada'), system.raw('payments')]);
  ledger = new LedgerCopy(ada);
  worker = system.service('crypto-worker');
  const key = async (algorithm: 'AES_256' | 'EC_P256' | 'RSA_2048') => {
    const name = `payments/${algorithm.toLowerCase().replace('_', '-')}`;
    return (await kim.keys.create({ name, algorithm, consumers: [cast.payments.id] })).keyId;
  };
  const pair = async (algorithm: 'EC_P256' | 'RSA_2048') => {
    const keyId = await key(algorithm);
    const reply = await caller.ask('crypto.get-public-key', { keyId });
    if ('problem' in reply) throw new Error(reply.problem.code);
    return { keyId, pem: (reply.result as { pem: string }).pem };
  };
  operations = await faultyOperations(caller, { aes: await key('AES_256'), ec: await pair('EC_P256'), rsa: await pair('RSA_2048') });
});
afterEach(async () => {
  token.clear();
  await Load.stopAll();
});
afterAll(async () => {
  await system?.stop();
  await token?.stop();
});

/** Every answer that names a record has it, once. Without one a caller heard that it could not be recorded: at most once, and then said to be unanswered. */
function recordedExactlyOnce({ answered, unanswered }: Load): void {
  const recorded = new Map<string, string[]>();
  for (const { requestId, id } of ledger.operations) if (requestId) recorded.set(requestId, [...(recorded.get(requestId) ?? []), id]);
  const told = new Set(ledger.records.filter(({ kind }) => kind === 'unanswered').flatMap(({ records }) => records as string[]));
  const idsOf = (requestId: string) => recorded.get(requestId) ?? [];
  expect(unanswered).toEqual([]);
  expect(answered.filter(({ requestId, receipt }) => receipt && idsOf(requestId).length !== 1)).toEqual([]);
  const unrecorded = answered.filter(({ receipt }) => !receipt);
  expect(unrecorded.filter(({ code }) => code !== 'ERR_AUDIT_UNAVAILABLE')).toEqual([]);
  expect(unrecorded.filter(({ requestId }) => idsOf(requestId).length > 1 || idsOf(requestId).some((id) => !told.has(id)))).toEqual([]);
}

const cells = Object.keys(faults).flatMap((fault, n) =>
  (thorough ? operationNames : [operationNames[n % operationNames.length] as string]).map((operation) => [fault, operation] as const),
);

test.each(cells)('%s × %s: right answers or clear problems, recovery without a restart', async (faultName, operationName) => {
  const fault = faults[faultName] as (typeof faults)[string];
  const operation = operations[operationName] as FaultyOperation;
  const load = operation.load(concurrency);
  loads.push(load);
  await load.more(concurrency, 'before');
  const { pid } = worker.child;
  const before = load.answered.length;
  await fault.begin(token, operation.functions);
  if (fault.answers)
    await until(() => load.answered.length >= before + answersWhile, { what: 'answers while it lasts', timeoutMs: 60_000 });
  fault.end(token);
  await load.more(answersAfter, 'once it is over');
  await load.stop();
  expect(load.codes().filter((code) => !clear.includes(code))).toEqual([]);
  expect(await operation.wrong()).toEqual([]);
  expect(load.unanswered).toEqual([]);
  expect({ running: worker.child.running(), pid: worker.child.pid }).toEqual({ running: true, pid });
  await load.hasItsRecords(ledger);
});

test('a token that fails for everything: health names it and says what to do, and is green again by itself', async () => {
  const health = async () => {
    const { ok, checks } = (await (await fetch(`${worker.healthUrl}/health/ready`)).json()) as {
      ok: boolean;
      checks: { name: string; ok: boolean; detail: string }[];
    };
    return { ok, breaker: checks.find(({ name }) => name === 'hsm breaker') };
  };
  const load = (operations.encrypt as FaultyOperation).load(concurrency);
  loads.push(load);
  await load.more(1, 'before');
  for (const name of ['C_EncryptInit', 'C_DecryptInit'] as const) token.fail(name, 0x30);
  const red = await until(async () => (({ ok, breaker }) => !ok && !breaker?.ok && breaker)(await health()), {
    what: 'the breaker to open',
    timeoutMs: 30_000,
  });
  expect(red.detail).toMatch(/^token customer fails, so requests are refused; it is probed every 1 s.*Check that the token/);
  expect(worker.child.logs()).toMatch(/"message":"token customer fails, so requests are refused/);
  token.clear();
  await load.more(answersAfter, 'once it is over');
  await load.stop();
  await until(async () => (await health()).ok, { what: 'health to be green', timeoutMs: 30_000 });
  const sam = await system.as('sam');
  const alert = await until(async () => (await sam.alerts.list({})).alerts.find(({ detector }) => detector === 'token-failure'), {
    what: 'an alert',
    timeoutMs: 30_000,
  });
  expect(alert).toMatchObject({ severity: 'high', title: 'Token customer fails' });
  expect(await (operations.encrypt as FaultyOperation).wrong()).toEqual([]);
});

test('the whole ledger verifies, and holds one record of each reply: none is missing, none is there twice', async () => {
  await ledger.verify(system.stack.trustFile);
  expect(ledger.records.filter(({ kind }) => kind === 'refused-state')).toEqual([]);
  const told = ledger.records.filter(({ kind }) => kind === 'token').map(({ event }) => event);
  expect(told.slice(-2)).toEqual(['failing', 'well']);
  expect(loads.length).toBeGreaterThan(0);
  for (const load of loads) recordedExactlyOnce(load);
});
