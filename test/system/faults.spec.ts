import type { Client } from '@claviger/client';
import { eventSubject, limits } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { RunningService } from '../../deploy/local/stack';
import { cast } from '../demo/cast';
import { LedgerCopy } from './ledger';
import { Load } from './load';
import { codeIn, rawCaller } from './raw-caller';
import { codeOf, type System, startSystem } from './system';

let system: System;
let kim: Client;
let sam: Client;
let payments: Client;
let ada: Client;
let ledger: LedgerCopy;
let keyId: string;

beforeAll(async () => {
  system = await startSystem('faults', { workers: 2, ownStore: true });
  [kim, sam, ada, payments] = await Promise.all([system.as('kim'), system.as('sam'), system.as('ada'), system.as('payments')]);
  ledger = new LedgerCopy(ada);
  keyId = await newKey('payments/faults');
});
afterAll(() => system.stop());
afterEach(() => Load.stopAll());

const newKey = async (name: string) =>
  (await kim.keys.create({ name, algorithm: 'AES_256', consumers: [cast.payments.id, cast.orders.id] })).keyId;
const encrypt = (id: string) => codeOf(payments.crypto.encrypt({ keyId: id, plaintext: Buffer.from('x') }));
const servicesOf = (name: RunningService['name']) => system.stack.services.filter((s) => s.name === name);
/** Its name in the views. */
const holderOf = ({ name, child }: RunningService) => `${name}.${/"message":"(\S+) takes requests/.exec(child.logs())?.[1]}`;
/** Ended for good: the stack does not look after it any more. */
const forget = (service: RunningService) => system.stack.services.splice(system.stack.services.indexOf(service), 1);
/** And nobody was accused: faults put nothing into a bucket that its owner did not. */
const wholeLedgerVerifies = async () => {
  await ledger.verify(system.stack.trustFile);
  expect(ledger.records.filter(({ kind }) => kind === 'refused-state')).toEqual([]);
};

/** Records of requests that were sent once: one for each answer, at most one for each request without. */
const recordedAtMostOnce = ({ answered, unanswered }: Load) => {
  const counts = new Map<string, number>();
  for (const { requestId } of ledger.operations) if (requestId) counts.set(requestId, (counts.get(requestId) ?? 0) + 1);
  expect(answered.filter(({ requestId }) => counts.get(requestId) !== 1)).toEqual([]);
  expect(unanswered.filter((requestId) => (counts.get(requestId) ?? 0) > 1)).toEqual([]);
};

test('kill -9 of a worker under load: every answer has its record, nothing is recorded twice, the other goes on', async () => {
  const retrying = Load.ofClient(payments, keyId);
  const once = Load.ofRaw(await system.raw('orders'), keyId);
  await Promise.all([retrying.more(200, 'before'), once.more(200, 'before')]);
  const [victim] = servicesOf('crypto-worker') as [RunningService];
  await victim.child.kill9();
  forget(victim);
  await Promise.all([retrying.more(200, 'after'), once.more(50, 'after')]);
  await Promise.all([retrying.stop(), once.stop()]);
  expect(retrying.codes()).toEqual(['OK']);
  expect(retrying.unanswered).toEqual([]);
  await retrying.hasItsRecords(ledger);
  await once.hasItsRecords(ledger);
  recordedAtMostOnce(once);
  await system.stack.start('crypto-worker');
  await wholeLedgerVerifies();
});

test('SIGTERM of a worker under load: no request is lost', async () => {
  const once = Load.ofRaw(await system.raw('orders'), keyId, 32);
  await once.more(300, 'before');
  const [leaving] = servicesOf('crypto-worker') as [RunningService];
  leaving.child.signal('SIGTERM');
  expect(await leaving.child.exited).toEqual({ code: 0, signal: null });
  forget(leaving);
  await once.more(300, 'after');
  await once.stop();
  expect({ codes: once.codes(), unanswered: once.unanswered }).toEqual({ codes: ['OK'], unanswered: [] });
  await once.hasItsRecords(ledger);
  recordedAtMostOnce(once);
  await system.stack.start('crypto-worker');
  await wholeLedgerVerifies();
});

test('watches of the key bucket that fall silent: workers answer ERR_STATE_STALE within 3 s and recover by themselves', async () => {
  const target = await newKey('payments/silent');
  const caller = await system.raw('orders');
  const ask = async () => codeIn(await caller.ask('crypto.encrypt', { keyId: target, plaintext: 'eA' }));
  const admin = await system.stack.broker.connection('provisionerCore');
  try {
    expect(await ask()).toBe('OK');
    const manager = await jetstreamManager(admin);
    const watches = await manager.consumers.list('KV_keys').next();
    expect(watches.length).toBeGreaterThanOrEqual(3);
    const far = new Date(Date.now() + 3_600_000);
    await Promise.all(watches.map(({ name }) => manager.consumers.pause('KV_keys', name, far)));
    await until(async () => (await ask()) === 'ERR_STATE_STALE', {
      what: 'a worker to say that it is stale',
      timeoutMs: 3_000,
      everyMs: 10,
    });
    await until(async () => (await Promise.all(Array.from({ length: 20 }, ask))).every((code) => code === 'OK'), {
      what: 'the workers to watch anew',
      timeoutMs: 20_000,
    });
    // Nobody has ended the pause: they did it by themselves, and hear of changes again.
    const { confirmed, workers } = await sam.keys.suspend({ keyId: target, reason: 'proves that the new watches work' });
    expect({ confirmed, workers }).toEqual({ confirmed: true, workers: servicesOf('crypto-worker').map(holderOf).sort() });
    for (let n = 0; n < 10; n++) expect(await ask()).toBe('ERR_KEY_SUSPENDED');
  } finally {
    await admin.close();
  }
  await wholeLedgerVerifies();
});

test('suspend is confirmed only when each worker has it or is fenced, and a fenced one that comes back refuses', async () => {
  const target = await newKey('payments/fenced');
  const caller = await system.raw('payments');
  const ask = async (id: string) => codeIn(await caller.ask('crypto.encrypt', { keyId: id, plaintext: 'eA' }));
  const [sleeper] = servicesOf('crypto-worker') as [RunningService];
  const holder = holderOf(sleeper);
  const reader = await system.stack.broker.connection('key-lifecycle');
  try {
    const bucket = await new Kvm(jetstream(reader)).open('keys');
    sleeper.child.pause();
    const lastSign = (await bucket.get(`probe.${holder}`))?.created.getTime() as number;
    // The broker gives about half of these to the worker that sleeps: they wait there.
    const answers: string[] = [];
    const waiting = Array.from({ length: 40 }, () => ask(target).then((code) => answers.push(code)));
    // The other worker leases its first block of encryptions, and answers the rest.
    await until(() => answers.length > 0, { what: 'the worker that is awake to answer' });
    const { confirmed, workers, fenced } = await sam.keys.suspend({ keyId: target, reason: 'fencing' });
    const waitedMs = Date.now() - lastSign;
    expect({ confirmed, fenced }).toEqual({ confirmed: true, fenced: [holder] });
    expect(workers).not.toContain(holder);
    expect(waitedMs).toBeGreaterThanOrEqual(limits.viewStaleAfterMs);
    const before = answers.length;
    expect(before).toBeLessThan(40);
    sleeper.child.resume();
    await Promise.all(waiting);
    expect(answers.slice(0, before)).toEqual(Array.from({ length: before }, () => 'OK'));
    for (const code of answers.slice(before)) expect(['ERR_STATE_STALE', 'ERR_KEY_SUSPENDED']).toContain(code);
    for (let n = 0; n < 20; n++) expect(['ERR_STATE_STALE', 'ERR_KEY_SUSPENDED']).toContain(await ask(target));
    await until(async () => (await Promise.all(Array.from({ length: 20 }, () => ask(keyId)))).every((code) => code === 'OK'), {
      what: 'both workers to serve again',
    });
  } finally {
    sleeper.child.resume();
    await reader.close();
  }
  await wholeLedgerVerifies();
  // In the ledger no success of the key lies behind the suspension.
  const ofKey = ledger.operations.filter((r) => r.keyId === target);
  const suspendedAt = ofKey.findIndex((r) => r.action === 'keys:Suspend' && r.outcome === 'success');
  expect(suspendedAt).toBeGreaterThan(0);
  expect(ofKey.slice(suspendedAt).filter((r) => r.action === 'crypto:Encrypt' && r.outcome === 'success')).toEqual([]);
});

test('key-lifecycle is killed after it suspended a key and before it recorded who asked for that: the next process records it', async () => {
  const target = await newKey('payments/unrecorded');
  const [worker] = servicesOf('crypto-worker') as [RunningService];
  const [lifecycle] = servicesOf('key-lifecycle') as [RunningService];
  const watcher = await system.stack.broker.connection('key-lifecycle');
  const caller = await system.raw('sam');
  try {
    const bucket = await new Kvm(jetstream(watcher)).open('keys');
    const before = (await bucket.get(target))?.revision;
    // The change is committed and delivered; it is recorded when the worker that sleeps is fenced, which takes 2 s.
    worker.child.pause();
    const asked = caller
      .ask('keys.suspend', { keyId: target, reason: 'stolen laptop', requestId: 'killed-in-between' })
      .catch(() => undefined);
    await until(async () => (await bucket.get(target))?.revision !== before, { what: 'the change to be delivered', everyMs: 5 });
    await lifecycle.child.kill9();
    worker.child.resume();
    forget(lifecycle);
    await asked;
  } finally {
    worker.child.resume();
    await watcher.close();
  }
  // Sooner than in earnest: what the killed process had in hand is nobody's.
  await system.stack.start('key-lifecycle', { OWED_RECORD_SECONDS: '5' });
  const [found] = await until(
    async () => {
      const { records } = await ada.audit.query({ keyId: target, action: 'keys:Suspend' });
      return records.length > 0 && records;
    },
    { what: 'the record of the suspension', timeoutMs: 60_000, everyMs: 500 },
  );
  expect(found?.record).toMatchObject({
    kind: 'committed',
    principal: cast.sam.id,
    session: caller.session,
    requestId: 'killed-in-between',
    reason: 'stolen laptop',
    revision: 2,
  });
  expect(await encrypt(target)).toBe('ERR_KEY_SUSPENDED');
  await wholeLedgerVerifies();
  // Of that request there is no reply, so no operation; and it is recorded once.
  expect(ledger.records.filter((r) => r.requestId === 'killed-in-between')).toHaveLength(1);
}, 400_000);

test('the document store is down: keys are used on, none is made, and all is well again when it is back', async () => {
  const { store } = system.stack;
  const load = Load.ofClient(payments, keyId, 4);
  await load.more(50, 'before');
  const administrator = await system.raw('kim');
  await store?.kill9();
  try {
    await load.more(200, 'without the store');
    const asked = [
      administrator.ask('keys.create', { name: 'payments/lost', algorithm: 'AES_256' }),
      administrator.ask('keys.describe', { keyId }),
      administrator.ask('keys.list', {}),
    ];
    for (const reply of await Promise.all(asked)) expect(codeIn(reply)).toBe('ERR_STORE_UNAVAILABLE');
  } finally {
    await store?.restart();
  }
  await until(async () => codeIn(await administrator.ask('keys.create', { name: 'payments/found', algorithm: 'AES_256' })) === 'OK', {
    what: 'keys to be made again',
    timeoutMs: 30_000,
    everyMs: 200,
  });
  await load.stop();
  expect({ codes: load.codes(), unanswered: load.unanswered }).toEqual({ codes: ['OK'], unanswered: [] });
  await load.hasItsRecords(ledger);
  await wholeLedgerVerifies();
});

test('the broker is killed and started again: callers reconnect, and nothing that was answered is lost', async () => {
  const load = Load.ofClient(payments, keyId, 16);
  await load.more(200, 'before');
  await system.stack.broker.kill9();
  await system.stack.broker.restart();
  await load.more(200, 'after');
  await load.stop();
  await load.hasItsRecords(ledger);
  const { keyId: made } = await kim.keys.create({ name: 'payments/after-restart', algorithm: 'AES_256', consumers: [cast.payments.id] });
  expect(await encrypt(made)).toBe('OK');
  await wholeLedgerVerifies();
});

test('the broker is started again while the document store is down: callers are admitted again, and operations go on', async () => {
  const { store, broker } = system.stack;
  const load = Load.ofClient(payments, keyId, 4);
  await load.more(50, 'before');
  await store?.kill9();
  try {
    await broker.kill9();
    await broker.restart();
    await load.more(100, 'after, without the store');
    const enter = () => rawCaller(broker.url, cast.orders.id, system.tokens[cast.orders.id] as string);
    const late = await until(enter, { what: 'somebody new to be let in', timeoutMs: 30_000 });
    expect(codeIn(await late.ask('crypto.encrypt', { keyId, plaintext: 'eA' }))).toBe('OK');
    // Keys that sign tokens, and what was revoked, are known without the store as well.
    expect(codeIn(await late.ask('access.issue-token', {}))).toBe('OK');
    const { session } = late;
    expect(await codeOf(sam.access.revokeSession({ session, reason: 'drill' }))).toBe('OK');
    await late.connection.closed();
  } finally {
    await store?.restart();
  }
  await load.stop();
  await load.hasItsRecords(ledger);
  await until(
    () =>
      kim.keys.create({ name: `payments/after-both-${Date.now()}`, algorithm: 'AES_256' }).then(
        () => true,
        () => false,
      ),
    {
      what: 'keys to be made again',
      timeoutMs: 30_000,
      everyMs: 200,
    },
  );
  await wholeLedgerVerifies();
});

test('the policy service is down: who is connected goes on, nobody new comes in; both again when it is back', async () => {
  const { session } = payments;
  const [policy] = servicesOf('policy') as [RunningService];
  // What it logged in with before may have been revoked.
  const token = await system.login('orders');
  await policy.child.kill9();
  forget(policy);
  const load = Load.ofClient(payments, keyId, 8);
  await load.more(300, 'without the policy service');
  const enter = () => rawCaller(system.stack.broker.url, cast.orders.id, token);
  await expect(enter()).rejects.toThrow(/authorization|timeout/i);
  await system.stack.start('policy');
  await load.more(50, 'with it again');
  await load.stop();
  expect({ codes: load.codes(), unanswered: load.unanswered, session: payments.session }).toEqual({
    codes: ['OK'],
    unanswered: [],
    session,
  });
  const late = await until(enter, { what: 'callers to be let in again', timeoutMs: 20_000 });
  expect(codeIn(await late.ask('crypto.generate-random', { bytes: 8 }))).toBe('OK');
  await late.close();
  await load.hasItsRecords(ledger);
  await wholeLedgerVerifies();
});

test('a key that has encrypted as often as it safely may says so before, refuses then, goes on to decrypt, and encrypts again once rotated', async () => {
  const [old] = servicesOf('key-lifecycle') as [RunningService];
  await old.child.stop(25_000);
  forget(old);
  const bounded = await system.stack.start('key-lifecycle', { GCM_INVOCATIONS_MAX: '50', GCM_ROTATE_AT: '0.5' });
  const target = await newKey('payments/exhausted');
  const first = (await payments.crypto.encrypt({ keyId: target, plaintext: Buffer.from('x') })).ciphertext;
  let used = 1;
  // The worker that was first has them all; the other one hears that there are none left.
  await until(
    async () => {
      if ((await encrypt(target)) === 'OK') used++;
      return used === 50;
    },
    { what: 'the last encryption', everyMs: 0 },
  );
  for (let n = 0; n < 20; n++) expect(await encrypt(target)).toBe('ERR_KEY_EXHAUSTED');
  expect(await codeOf(payments.crypto.decrypt({ keyId: target, ciphertext: first }))).toBe('OK');
  const admin = await system.stack.broker.connection('provisionerCore');
  try {
    const manager = await jetstreamManager(admin);
    const subject = eventSubject('io.claviger.key.rotation-due', target);
    const event = await until(
      () => manager.streams.getMessage('KEYS', { last_by_subj: subject }).then((m) => m?.json<{ data: object }>()),
      {
        what: 'the event that asks for rotation',
        timeoutMs: 20_000,
      },
    );
    expect(event?.data).toMatchObject({ keyId: target, version: 1, max: 50, given: 50 });
  } finally {
    await admin.close();
  }
  await kim.keys.rotate({ keyId: target, reason: 'exhausted' });
  expect(await encrypt(target)).toBe('OK');
  await system.stack.restart(bounded);
  await wholeLedgerVerifies();
});
