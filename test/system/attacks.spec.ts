import type { Client } from '@claviger/client';
import { inboxPrefix, requestSubject, requestType } from '@claviger/contracts';
import { freePort, until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstream } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { MongoClient } from 'mongodb';
import { cast } from '../demo/cast';
import { LedgerCopy } from './ledger';
import { natsSocket } from './nats-socket';
import { codeIn, freshSession, type RawCaller, rawCaller } from './raw-caller';
import { codeOf, type System, startSystem } from './system';

let system: System;
let kim: Client;
let sam: Client;
let ada: Client;
let ledger: LedgerCopy;
let payments: Client;
let keyId: string;
let attacker: RawCaller;

const secret = { plaintext: Buffer.from('attack at dawn').toString('base64url') };

beforeAll(async () => {
  system = await startSystem('attacks', { workers: 2 });
  [kim, sam, ada, payments, attacker] = await Promise.all([
    system.as('kim'),
    system.as('sam'),
    system.as('ada'),
    system.as('payments'),
    system.raw('orders'),
  ]);
  ledger = new LedgerCopy(ada);
  keyId = (await kim.keys.create({ name: 'payments/vault', algorithm: 'AES_256', consumers: [cast.payments.id, cast.orders.id] })).keyId;
});

afterAll(async () => {
  await ledger.verify(system.stack.trustFile);
  await system.stop();
});

/** Whatever was tried: an honest caller is served. */
const honestCallerIsServed = async () =>
  expect(await codeOf(payments.crypto.encrypt({ keyId, plaintext: Buffer.from('honest') }))).toBe('OK');

/** The record of what the broker refused an admitted connection. */
const violation = (session: string, subject: string) =>
  until(
    async () => {
      const { records } = await ada.audit.query({ kind: 'violation', limit: 100 });
      return records.map((r) => r.record).find((r) => r.session === session && r.subject === subject);
    },
    { what: `the violation ${subject} in the ledger`, timeoutMs: 20_000, everyMs: 200 },
  );

/** How many connections were refused for this reason: alike ones within a second share a record that counts them. */
const refusedConnections = async (code: string) => {
  const { records } = await ada.audit.query({ kind: 'session', limit: 200 });
  return records.map((r) => r.record).reduce((sum, r) => sum + (r.event === 'refused' && r.code === code ? Number(r.count) : 0), 0);
};
const untilRefused = (code: string, count: number) =>
  until(async () => (await refusedConnections(code)) >= count, {
    what: `${count} connections refused for ${code} in the ledger`,
    timeoutMs: 20_000,
    everyMs: 200,
  });

/** Who refused what was put into a bucket, for this reason: found by the client, in the ledger. */
const refusers = async (query: { keyId?: string }, reason: string): Promise<string[]> => {
  const { records } = await ada.audit.query({ ...query, kind: 'refused-state', limit: 200 });
  return records.map(({ record }) => record).flatMap((r) => (r.reason === reason ? [String(r.holder)] : []));
};
const untilEveryWorkerRecorded = (keyId: string, reason: string) =>
  until(
    async () => {
      const by = new Set((await refusers({ keyId }, reason)).filter((holder) => holder.startsWith('crypto-worker.')));
      return by.size >= 2;
    },
    { what: `${reason} of ${keyId} in the ledger, of each worker`, timeoutMs: 60_000, everyMs: 200 },
  );

const operationsIn = async (session: string) => (await ledger.readOn()).operations.filter((r) => r.session === session);

test("another's subject: the broker refuses it, and nothing is done in the other's name", async () => {
  const victim = await system.raw('payments');
  const subject = victim.subject('crypto.encrypt');
  attacker.connection.publish(subject, JSON.stringify({ type: requestType, keyId, ...secret }), {
    reply: `${inboxPrefix(attacker.principal, attacker.session)}.x`,
  });
  await until(() => /Permissions Violation for Publish/i.test(attacker.refusals.join()), { what: 'the broker to say no' });
  expect(await violation(attacker.session, subject)).toMatchObject({ principal: attacker.principal, violation: 'publish' });
  await honestCallerIsServed();
  expect(await operationsIn(victim.session)).toHaveLength(0);
});

test("another's inbox: the broker refuses the subscription, and its replies are not heard", async () => {
  const victim = await system.raw('payments');
  const inbox = `${inboxPrefix(victim.principal, victim.session)}.>`;
  const heard: string[] = [];
  attacker.connection.subscribe(inbox, { callback: (_error, m) => void heard.push(m?.subject ?? '') });
  attacker.connection.subscribe('_INBOX.>', { callback: (_error, m) => void heard.push(m?.subject ?? '') });
  await attacker.connection.flush();
  expect(codeIn(await victim.ask('crypto.encrypt', { keyId, ...secret }))).toBe('OK');
  await attacker.connection.flush();
  expect(heard.filter(Boolean)).toEqual([]);
  expect(await violation(attacker.session, inbox)).toMatchObject({ principal: attacker.principal, violation: 'subscription' });
  expect(await violation(attacker.session, '_INBOX.>')).toMatchObject({ violation: 'subscription' });
  await honestCallerIsServed();
});

test("a reply subject that names another's request subject makes nothing happen in the other's name", async () => {
  const victim = await system.raw('payments');
  const attack = await system.raw('orders');
  const body = JSON.stringify({ type: requestType, keyId, ...secret, requestId: 'reflected' });
  attack.connection.publish(attack.subject('crypto.encrypt'), body, { reply: victim.subject('crypto.encrypt') });
  const reply = await attack.ask('crypto.encrypt', { keyId, ...secret, requestId: 'next' });
  expect(codeIn(reply)).toBe('OK');
  await honestCallerIsServed();
  // They may lie in two batches.
  const recorded = (requestId: string) => ledger.operations.some((r) => r.session === attack.session && r.requestId === requestId);
  await until(async () => (await ledger.readOn()) && recorded('reflected') && recorded('next'), {
    what: "the attacker's own requests in the ledger",
  });
  expect(ledger.operations.filter((r) => r.session === attack.session)).toHaveLength(2);
  expect(ledger.operations.filter((r) => r.session === victim.session)).toEqual([]);
});

test("a consumer whose deliver_subject names another's request subject is refused by the broker", async () => {
  const attack = await system.raw('orders');
  const operator = await system.raw('olga');
  const config = { durable_name: 'evil', deliver_subject: attacker.subject('crypto.decrypt'), ack_policy: 'none', deliver_policy: 'all' };
  const subjects = [
    '$JS.API.CONSUMER.CREATE.ALERTS',
    '$JS.API.CONSUMER.CREATE.ALERTS.evil',
    '$JS.API.CONSUMER.DURABLE.CREATE.ALERTS.evil',
    'core.api.CONSUMER.CREATE.ALERTS.evil',
  ];
  for (const caller of [attack, operator])
    for (const subject of subjects) caller.connection.publish(subject, JSON.stringify({ stream_name: 'ALERTS', config }));
  for (const caller of [attack, operator])
    for (const subject of subjects)
      expect(await violation(caller.session, subject)).toMatchObject({ violation: 'publish', principal: caller.principal });
  await honestCallerIsServed();
});

test('a forged identity header is refused, whatever its case; the one that the broker writes itself is overwritten and never read', async () => {
  const claim = JSON.stringify({ acc: 'CORE', user: cast.payments.id, name: cast.payments.id });
  const askWith = (...names: string[]) => {
    const forged = headers();
    for (const name of names) forged.append(name, claim);
    return attacker.ask('crypto.encrypt', { keyId, ...secret }, forged);
  };
  const names = ['Claviger-Principal', 'nats-request-info', 'NATS-REQUEST-INFO', 'Nats-request-Info', 'Authorization', 'Nats-Msg-Id'];
  const refused = await Promise.all(names.map((name) => askWith(name)));
  expect(refused.map(codeIn)).toEqual(names.map(() => 'ERR_HEADER_REFUSED'));
  // In its exact case the broker replaces it, once or twice given: the request is what its subject says, and done as that.
  const replaced = [await askWith('Nats-Request-Info'), await askWith('Nats-Request-Info', 'Nats-Request-Info')];
  expect(replaced.map(codeIn)).toEqual(['OK', 'OK']);
  const receipts = [...refused, ...replaced].map(({ receipt }) => receipt!);
  await ledger.with(receipts);
  for (const receipt of receipts) expect(ledger.at(receipt)).toMatchObject({ principal: attacker.principal, session: attacker.session });
  await honestCallerIsServed();
});

test('a malformed header name is refused and recorded, and ends no read loop of any service', async () => {
  const socket = await natsSocket(system.stack.broker.url, cast.orders.id, system.tokens[cast.orders.id] as string);
  try {
    const asked = ['crypto.encrypt', 'keys.list', 'policy.show', 'access.list-sessions', 'audit.checkpoint', 'alerts.list'];
    const lines = ['bad name: 1', 'b\u0001d: 1', ': 1', 'naïve: 1'];
    for (const operation of asked)
      for (const line of lines) {
        const [service, verb] = operation.split('.') as [string, string];
        const subject = requestSubject({ principal: cast.orders.id, session: socket.session, service, verb });
        socket.publishWithHeaders(subject, socket.inbox, line, JSON.stringify({ type: requestType }));
      }
    const replies = await until(
      () => {
        const found = [...socket.received().matchAll(/\{"problem":.*\}/g)].map(([json]) => JSON.parse(json));
        return found.length === asked.length * lines.length && found;
      },
      { what: 'an answer to each' },
    );
    expect(new Set(replies.map(({ problem }) => problem.code))).toEqual(new Set(['ERR_HEADER_REFUSED']));
    await ledger.with(replies.map(({ receipt }) => receipt));
    for (const { receipt } of replies) expect(ledger.at(receipt)).toMatchObject({ session: socket.session, code: 'ERR_HEADER_REFUSED' });
    await honestCallerIsServed();
    await Promise.all([kim.keys.list(), sam.policy.show(), sam.access.listSessions(), ada.audit.checkpoint(), sam.alerts.list()]);
  } finally {
    await socket.close();
  }
});

test('a session id of * and other names that are no fresh id let nobody in', async () => {
  const token = system.tokens[cast.orders.id] as string;
  const enter = (session: string) => rawCaller(system.stack.broker.url, cast.orders.id, token, session);
  const names = ['*', '>', '', 'short', `${freshSession()}x`, '_'.repeat(22), `${freshSession().slice(1)}.`, `${freshSession().slice(1)}*`];
  for (const name of names) await expect(enter(name)).rejects.toThrow(/authorization violation/i);
  await untilRefused('session-malformed', names.length);
  // An admitted connection names a wildcard where its own id belongs.
  const caller = await system.raw('orders');
  const subject = `claviger.v1.${caller.principal}.*.crypto.encrypt`;
  caller.connection.publish(subject, JSON.stringify({ type: requestType, keyId, ...secret }));
  await caller.connection.flush();
  expect(await violation(caller.session, subject)).toMatchObject({ principal: caller.principal });
  await honestCallerIsServed();
});

test('a session id is good for one connection only, also when the first has ended', async () => {
  const token = system.tokens[cast.orders.id] as string;
  const enter = (session: string) => rawCaller(system.stack.broker.url, cast.orders.id, token, session);
  const first = await enter(freshSession());
  await expect(enter(first.session)).rejects.toThrow(/authorization violation/i);
  expect(codeIn(await first.ask('crypto.generate-random', { bytes: 8 }))).toBe('OK');
  await expect(enter(payments.session as string)).rejects.toThrow(/authorization violation/i);
  await first.close();
  await expect(enter(first.session)).rejects.toThrow(/authorization violation/i);
  await untilRefused('session-reused', 3);
  await honestCallerIsServed();
});

test("another's token cannot be used under one's own principal id: the grant is for whom the token names", async () => {
  const caller = await rawCaller(system.stack.broker.url, cast.kim.id, system.tokens[cast.orders.id] as string);
  const subject = caller.subject('keys.list');
  caller.connection.publish(subject, JSON.stringify({ type: requestType }));
  await caller.connection.flush();
  expect(await violation(caller.session, subject)).toMatchObject({ principal: cast.orders.id });
  await caller.close();
});

/** Puts a value into a bucket as a thief of a service's broker credentials could. */
const putBack = async (as: NatsConnection, bucket: string, id: string, value: Uint8Array) =>
  jetstream(as).publish(`$KV.${bucket}.${id}`, value);
const stored = async (as: NatsConnection, bucket: string, id: string) => {
  const entry = await (await new Kvm(jetstream(as)).open(bucket)).get(id);
  if (!entry) throw new Error(`no ${bucket}/${id}`);
  return entry.value;
};
const everyWorkerLogs = (pattern: RegExp) =>
  until(() => system.stack.services.filter((s) => s.name === 'crypto-worker').every((s) => pattern.test(s.child.logs())), {
    what: `every worker to log ${pattern}`,
  });

test('an old signed key record put back by somebody with broker access is refused by every worker: the key stays suspended', async () => {
  const thief = await system.stack.broker.connection('key-lifecycle');
  try {
    const { keyId: target } = await kim.keys.create({ name: 'payments/old-record', algorithm: 'AES_256', consumers: [cast.payments.id] });
    expect(await codeOf(payments.crypto.encrypt({ keyId: target, plaintext: Buffer.from('x') }))).toBe('OK');
    const old = await stored(thief, 'keys', target);
    expect((await sam.keys.suspend({ keyId: target, reason: 'stolen' })).confirmed).toBe(true);
    const suspended = await stored(thief, 'keys', target);
    await putBack(thief, 'keys', target, old);
    await everyWorkerLogs(new RegExp(`keys/${target}: revision 1 after 2`));
    for (let n = 0; n < 6; n++)
      expect(await codeOf(payments.crypto.encrypt({ keyId: target, plaintext: Buffer.from('x') }))).toBe('ERR_KEY_SUSPENDED');

    // A record that nobody signed, another key's record under this name, and a delete.
    await putBack(thief, 'keys', target, Buffer.from('eyJ.x.y'));
    await putBack(thief, 'keys', target, await stored(thief, 'keys', keyId));
    await everyWorkerLogs(new RegExp(`keys/${target}: a record of ${keyId} under another name`));
    const marker = headers();
    marker.set('KV-Operation', 'DEL');
    await jetstream(thief).publish(`$KV.keys.${target}`, '', { headers: marker });
    await everyWorkerLogs(new RegExp(`keys/${target}: a delete of a record that still matters`));
    for (const reason of ['older-revision', 'not-signed', 'other-name', 'deleted']) await untilEveryWorkerRecorded(target, reason);
    expect(await codeOf(payments.crypto.encrypt({ keyId: target, plaintext: Buffer.from('x') }))).toBe('ERR_KEY_SUSPENDED');
    await honestCallerIsServed();

    // A worker that starts now has never seen the newer record: the signed mark of the bucket tells it that something is missing.
    await putBack(thief, 'keys', target, old);
    const port = await freePort();
    const late = system.stack.start('crypto-worker', { HEALTH_PORT: String(port) });
    const said = async () => (await fetch(`http://127.0.0.1:${port}/health/ready`)).text();
    await until(async () => (await said()).includes('does not add up to its mark'), {
      what: 'the new worker to notice',
      timeoutMs: 30_000,
    });
    await until(async () => (await refusers({}, 'incomplete')).some((holder) => holder.startsWith('crypto-worker.')), {
      what: 'the bucket that was rolled back in the ledger',
      timeoutMs: 30_000,
      everyMs: 200,
    });
    await putBack(thief, 'keys', target, suspended);
    await late;
    for (let n = 0; n < 6; n++)
      expect(await codeOf(payments.crypto.encrypt({ keyId: target, plaintext: Buffer.from('x') }))).toBe('ERR_KEY_SUSPENDED');
    await honestCallerIsServed();
  } finally {
    await thief.close();
  }
});

test('an old signed session record put back by somebody with broker access revives no revoked session', async () => {
  const thief = await system.stack.broker.connection('policy');
  const caller = await system.raw('orders', await system.login('orders'));
  try {
    const old = await stored(thief, 'sessions', caller.session);
    await sam.access.revokeSession({ session: caller.session, reason: 'stolen laptop' });
    await caller.connection.closed();
    await putBack(thief, 'sessions', caller.session, old);
    await everyWorkerLogs(new RegExp(`sessions/${caller.session}: revision 1 after 2`));
    const [listed] = (await sam.access.listSessions({ principal: caller.principal })).sessions.filter((s) => s.session === caller.session);
    expect(listed?.state).toBe('revoked');
    await expect(
      rawCaller(system.stack.broker.url, caller.principal, system.tokens[caller.principal] as string, caller.session),
    ).rejects.toThrow(/authorization violation/i);
    await honestCallerIsServed();
  } finally {
    await thief.close();
  }
});

test('roles and policies that somebody edited in the document store or put back in the bucket decide nowhere, and each is an alert', async () => {
  const thief = await system.stack.broker.connection('policy');
  const store = await MongoClient.connect(system.stack.storeUrl);
  const { bundle: shown } = await sam.policy.show();
  const bundles = store.db(`${system.stack.databasePrefix}policy`).collection<Record<string, unknown> & { _id: string }>('bundles');
  const alertOf = (bucket: string, reason: RegExp) =>
    until(
      async () => {
        const { alerts } = await sam.alerts.list({});
        return alerts.find(
          ({ detector, title, seen }) => detector === 'refused-state' && title.includes(`${bucket}/bundle`) && reason.test(seen),
        );
      },
      { what: `the alert ${bucket} ${reason}`, timeoutMs: 60_000, everyMs: 500 },
    );
  try {
    const before = await stored(thief, 'policy', 'bundle');
    const beforeInStore = (await bundles.findOne({ _id: 'bundle' })) as Record<string, unknown>;
    // Who orders goods loses its role.
    const { revision, publishedAt: _, ...rest } = shown;
    const principals = rest.principals.map((one) => (one.id === cast.orders.id ? { ...one, roles: [], revision: one.revision + 1 } : one));
    await sam.policy.publish({ basedOn: revision, bundle: { ...rest, principals }, reason: 'orders loses its role' });
    const orders = await system.as('orders');
    const use = () => codeOf(orders.crypto.encrypt({ keyId, plaintext: Buffer.from('x') }));
    await until(async () => (await use()) === 'ERR_ACCESS_DENIED', { what: 'the role to be gone' });

    // The old bundle with its good signature, and one that nobody signed.
    await putBack(thief, 'policy', 'bundle', before);
    await everyWorkerLogs(new RegExp(`policy/bundle: revision ${revision} after ${revision + 1}`));
    await putBack(thief, 'policy', 'bundle', Buffer.from('eyJ.x.y'));
    for (let n = 0; n < 6; n++) expect(await use()).toBe('ERR_ACCESS_DENIED');
    for (const reason of [/older-revision/, /not-signed/]) expect((await alertOf('policy', reason)).severity).toBe('critical');

    // A role that was given in the document itself; then the old document as it was, record and all.
    const now = (await bundles.findOne({ _id: 'bundle' })) as Record<string, unknown>;
    await bundles.updateOne({ _id: 'bundle' }, { $set: { principals: beforeInStore.principals } });
    const publish = () => codeOf(sam.policy.publish({ basedOn: revision + 1, bundle: { ...rest, principals }, reason: 'again' }));
    expect(await publish()).toBe('ERR_STORE_UNAVAILABLE');
    expect((await alertOf('store', /tampered-document/)).explanation).toMatch(/edited behind the back/);
    const { _id, ...old } = beforeInStore;
    await bundles.updateOne({ _id: 'bundle' }, { $set: old });
    expect(await publish()).toBe('ERR_STORE_UNAVAILABLE');
    for (let n = 0; n < 6; n++) expect(await use()).toBe('ERR_ACCESS_DENIED');
    const { _id: __, ...whole } = now;
    await bundles.updateOne({ _id: 'bundle' }, { $set: whole });
    expect(await publish()).toBe('OK');
    await honestCallerIsServed();
  } finally {
    await store.close();
    await thief.close();
  }
});
