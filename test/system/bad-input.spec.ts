import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@claviger/client';
import { limits, type Receipt, type Reply, requestType } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cast } from '../demo/cast';
import { LedgerCopy } from './ledger';
import { codeIn, type RawCaller, rawCaller } from './raw-caller';
import { codeOf, type System, startSystem, type Who } from './system';

/** Must not appear in any reply, record or log line. */
const marker = 'S3CRET-c0ntent-of-a-request';
const secret = Buffer.from(marker).toString('base64url');

interface Door {
  operation: string;
  who: Who;
  /** A request that is answered with a result. */
  fields: () => Record<string, unknown>;
  /** Fields of a wrong type or out of range, each alone. */
  wrong: Record<string, unknown>[];
}

let system: System;
let kim: Client;
let sam: Client;
let ada: Client;
let ledger: LedgerCopy;
let payments: Client;
let keyId: string;
let shortLived: string;
/** What a connection with a token of ten seconds heard until the broker ended it. */
let untilExpiry: Promise<Set<string>>;
/** One connection for each of the doors, and every reply that it got. */
const callers = new Map<Door, RawCaller>();
const replies = new Map<Door, Reply[]>();

const doors: Door[] = [
  {
    operation: 'crypto.encrypt',
    who: 'payments',
    fields: () => ({ keyId, plaintext: secret, context: { tenant: 'acme' } }),
    wrong: [
      { keyId: 7 },
      { keyId: '*' },
      { keyId: `k_${'a'.repeat(23)}` },
      { plaintext: `${marker}=` },
      { plaintext: { toString: marker } },
      { context: [marker] },
      { context: { tenant: { $ne: marker } } },
      { context: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`k${n}`, marker])) },
      { requestId: 'not an id' },
    ],
  },
  {
    operation: 'keys.create',
    who: 'kim',
    fields: () => ({ name: `made/${crypto.randomUUID()}`, algorithm: 'AES_256' }),
    wrong: [
      { name: { $gt: '' } },
      { name: '../etc/passwd' },
      { algorithm: 'ROT13' },
      { consumers: 'payments-api' },
      { consumers: Array.from({ length: 60_000 }, () => 'payments-api') },
      { tags: { $where: 1 } },
      { environment: null },
      { owner: 'A B' },
    ],
  },
  {
    operation: 'policy.publish',
    who: 'sam',
    fields: () => ({ basedOn: 0, reason: marker }),
    wrong: [
      { bundle: [] },
      { bundle: { format: 'claviger.policy/1', policies: marker } },
      { basedOn: '1' },
      { basedOn: -1 },
      { basedOn: 1.5 },
    ],
  },
  {
    operation: 'access.issue-token',
    who: 'orders',
    fields: () => ({ lifetimeSeconds: 60 }),
    wrong: [{ lifetimeSeconds: 0 }, { lifetimeSeconds: 901 }, { lifetimeSeconds: '60' }, { principal: '' }, { principal: { $gt: '' } }],
  },
  {
    operation: 'audit.query',
    who: 'ada',
    fields: () => ({ limit: 5 }),
    wrong: [
      { limit: 0 },
      { limit: 1e9 },
      { keyId: { $exists: true } },
      { outcome: 'unknown' },
      { from: 'yesterday' },
      { trace: '.*' },
      { before: -1 },
    ],
  },
  {
    operation: 'alerts.list',
    who: 'sam',
    fields: () => ({ limit: 5 }),
    wrong: [{ limit: 201 }, { limit: [] }, { status: { $ne: 'open' } }, { status: marker }],
  },
];

beforeAll(async () => {
  system = await startSystem('bad-input');
  [kim, sam, ada, payments] = await Promise.all([system.as('kim'), system.as('sam'), system.as('ada'), system.as('payments')]);
  ledger = new LedgerCopy(ada);
  const consumers = [cast.payments.id];
  ({ keyId } = await kim.keys.create({ name: 'payments/input', algorithm: 'AES_256', consumers }));
  for (const door of doors) {
    callers.set(door, await system.raw(door.who));
    replies.set(door, []);
  }
  shortLived = (await (await system.as('orders')).access.issueToken({ lifetimeSeconds: 10 })).token;
  const expiring = await rawCaller(system.stack.broker.url, cast.orders.id, shortLived);
  untilExpiry = codesUntilClosed(expiring);
});

afterAll(async () => {
  await ledger.verify(system.stack.trustFile);
  for (const { name, child } of system.stack.services) {
    for (const text of [marker, secret]) if (child.logs().includes(text)) throw new Error(`the log of ${name} holds a secret`);
  }
  await system.stop();
});

/** Sends and keeps what was answered; nothing of a reply may tell about the inside or repeat what was sent. */
async function send(door: Door, body: string | Uint8Array, operation = door.operation): Promise<Reply> {
  const reply = await callers.get(door)!.send(operation, body);
  const text = JSON.stringify(reply);
  expect(text).not.toMatch(/node_modules|\.[jt]s:\d|\n\s+at /);
  if ('problem' in reply) {
    expect(text).not.toContain(marker);
    expect(text).not.toContain(secret);
  }
  replies.get(door)!.push(reply);
  return reply;
}
const body = (fields: Record<string, unknown>) => JSON.stringify({ type: requestType, ...fields });
const receiptOf = ({ receipt }: Reply): Receipt => {
  if (!receipt) throw new Error('a reply without a receipt');
  return receipt;
};

/** Each reply has one record, which says what the reply says, and the connection has no other records. */
async function eachReplyHasItsRecord(door: Door): Promise<void> {
  const { session, principal } = callers.get(door)!;
  const got = replies.get(door)!;
  await ledger.with(got.map(receiptOf));
  for (const reply of got) {
    const code = codeIn(reply);
    const record = ledger.at(receiptOf(reply));
    expect(record).toMatchObject({ kind: 'operation', session, principal, ...(code === 'OK' ? { outcome: 'success' } : { code }) });
  }
  expect(ledger.operations.filter((r) => r.session === session)).toHaveLength(got.length);
}

async function everyServiceAnswers(): Promise<void> {
  for (const door of doors) if (door.operation !== 'policy.publish') expect(codeIn(await send(door, body(door.fields())))).toBe('OK');
  await sam.policy.show();
}

const notOurs: [string, (door: Door) => string | Uint8Array][] = [
  ['nothing', () => ''],
  ['half of it', (door) => body(door.fields()).slice(0, -5)],
  ['two of it', (door) => body(door.fields()).repeat(2)],
  ['a null', () => 'null'],
  ['a number', () => '42'],
  ['a string', () => JSON.stringify(marker)],
  ['an array', (door) => `[${body(door.fields())}]`],
  ['NaN', (door) => body(door.fields()).replace(/}$/, ',"x":NaN}')],
  [
    'invalid UTF-8',
    (door) => Buffer.concat([Buffer.from(body(door.fields()).slice(0, -1)), Buffer.from(',"requestId":"\xff\xfe"}', 'latin1')]),
  ],
  ['an overlong UTF-8 sequence', () => Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
  ['a byte order mark', (door) => `\ufeff${body(door.fields())}`],
  ['UTF-16', (door) => Buffer.from(body(door.fields()), 'utf16le')],
  ['no type', (door) => JSON.stringify(door.fields())],
  ['another type', (door) => body({ ...door.fields(), type: 'claviger.request/2' })],
  ['a reply', () => JSON.stringify({ result: { keyId }, receipt: {} })],
  ['an event', () => JSON.stringify({ specversion: '1.0', type: 'io.claviger.key.changed', data: {} })],
  ['an unknown field', (door) => body({ ...door.fields(), [marker]: marker })],
  ['a __proto__', (door) => body(door.fields()).replace(/^\{/, '{"__proto__":{"admin":true},')],
  ['a constructor', (door) => body({ ...door.fields(), constructor: { prototype: { admin: true } } })],
  ['deep arrays', () => '['.repeat(200_000) + ']'.repeat(200_000)],
  [
    'deep objects in a field',
    (door) =>
      body({ ...door.fields(), requestId: 0 }).replace(/"requestId":0/, `"requestId":${'{"a":'.repeat(90_000)}1${'}'.repeat(90_000)}`),
  ],
  ['a huge array', () => JSON.stringify(Array.from({ length: 250_000 }, () => 1))],
  ['many fields', (door) => body({ ...door.fields(), ...Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`f${n}`, n])) })],
];

test.each(doors)('$operation: what is no request of the contract is ERR_MALFORMED_REQUEST, recorded once', async (door) => {
  for (const [what, make] of notOurs) {
    const reply = await send(door, make(door));
    expect({ what, code: codeIn(reply) }).toEqual({ what, code: 'ERR_MALFORMED_REQUEST' });
  }
  for (const fields of door.wrong) {
    const reply = await send(door, body({ ...door.fields(), ...fields }));
    expect({ fields: Object.keys(fields), code: codeIn(reply) }).toEqual({ fields: Object.keys(fields), code: 'ERR_MALFORMED_REQUEST' });
  }
  await eachReplyHasItsRecord(door);
  await everyServiceAnswers();
});

test.each(doors)('$operation: more than the limit is ERR_PAYLOAD_TOO_LARGE, an unknown verb ERR_UNKNOWN_OPERATION', async (door) => {
  const large = 'x'.repeat(limits.messageBytes);
  expect(codeIn(await send(door, body({ ...door.fields(), requestId: large })))).toBe('ERR_PAYLOAD_TOO_LARGE');
  expect(codeIn(await send(door, Buffer.alloc(limits.messageBytes + 1, 0xff)))).toBe('ERR_PAYLOAD_TOO_LARGE');
  const [service] = door.operation.split('.');
  for (const verb of ['nothing', 'constructor', '__proto__', 'toString', 'x'.repeat(300), 'generate-kek', 'ENCRYPT'])
    expect(codeIn(await send(door, body(door.fields()), `${service}.${verb}`))).toBe('ERR_UNKNOWN_OPERATION');
  await eachReplyHasItsRecord(door);
  await everyServiceAnswers();
});

test('a service that nobody is has no responder, and internal services are out of reach', async () => {
  const caller = callers.get(doors[0]!)!;
  for (const operation of ['nothing.here', 'hsm.generate-kek', 'applied.keys', 'liveness.ping'])
    await expect(caller.ask(operation, {})).rejects.toThrow(/no responders/i);
  const inside = 'claviger-internal.v1.hsm.generate-kek';
  await expect(caller.connection.request(inside, body({}), { timeout: 2_000 })).rejects.toThrow(/permissions violation/i);
  await everyServiceAnswers();
});

test('a plaintext over its limit, an unknown key, a key of others: each refused with its own code', async () => {
  const [door] = doors as [Door];
  const ask = async (operation: string, fields: Record<string, unknown>) => codeIn(await send(door, body(fields), operation));
  const tooLong = Buffer.alloc(limits.plaintextBytes + 1).toString('base64url');
  expect(await ask('crypto.encrypt', { keyId, plaintext: tooLong })).toBe('ERR_PAYLOAD_TOO_LARGE');
  expect(await ask('crypto.encrypt', { keyId, plaintext: Buffer.alloc(limits.plaintextBytes).toString('base64url') })).toBe('OK');
  expect(await ask('crypto.encrypt', { keyId: `k_${'Z'.repeat(22)}`, plaintext: secret })).toBe('ERR_KEY_UNKNOWN');
  const others = await kim.keys.create({ name: 'others/key', algorithm: 'AES_256', consumers: [cast.orders.id] });
  expect(await ask('crypto.encrypt', { keyId: others.keyId, plaintext: secret })).toBe('ERR_ACCESS_DENIED');
  expect(await ask('crypto.sign', { keyId, message: secret })).toBe('ERR_KEY_USAGE');
  expect(await ask('crypto.sign', { keyId, message: secret, digest: Buffer.alloc(32).toString('base64url') })).toBe(
    'ERR_MALFORMED_REQUEST',
  );
  expect(await ask('keys.create', { name: 'payments/own', algorithm: 'AES_256' })).toBe('ERR_ACCESS_DENIED');
  expect(await ask('audit.query', {})).toBe('ERR_ACCESS_DENIED');
  expect(await ask('access.list-sessions', {})).toBe('ERR_ACCESS_DENIED');
  expect(await ask('alerts.list', {})).toBe('ERR_ACCESS_DENIED');
  await eachReplyHasItsRecord(door);
  await everyServiceAnswers();
});

test('another context and every tampered part of a ciphertext give the one generic failure, never a plaintext', async () => {
  const [door] = doors as [Door];
  const context = { tenant: 'acme' };
  const sealed = await payments.crypto.encrypt({ keyId, plaintext: Buffer.from(marker), context });
  const decrypt = async (fields: Record<string, unknown>) =>
    codeIn(await send(door, body({ keyId, context, ...fields }), 'crypto.decrypt'));
  const { ciphertext } = sealed;
  expect(await decrypt({ ciphertext })).toBe('OK');
  for (const other of [undefined, {}, { tenant: 'other' }, { Tenant: 'acme' }, { tenant: 'acme', more: '1' }])
    expect(await decrypt({ ciphertext, context: other })).toBe('ERR_DECRYPTION_FAILED');
  const second = await kim.keys.create({ name: 'payments/second', algorithm: 'AES_256', consumers: [cast.payments.id] });
  expect(await decrypt({ ciphertext, keyId: second.keyId })).toBe('ERR_DECRYPTION_FAILED');
  const parts = ciphertext.split('.');
  const withPart = (at: number, part: string) => parts.map((p, n) => (n === at ? part : p)).join('.');
  const header = JSON.parse(Buffer.from(parts[0]!, 'base64url').toString());
  const headerOf = (changed: object) => Buffer.from(JSON.stringify({ ...header, ...changed })).toString('base64url');
  for (const changed of [{ kid: `${keyId}#2` }, { kid: `${second.keyId}#1` }, { enc: 'A128GCM' }, { zip: 'DEF' }, { ctx: undefined }])
    expect(await decrypt({ ciphertext: withPart(0, headerOf(changed)) })).toBe('ERR_DECRYPTION_FAILED');
  // One character of each part at each place of the short ones.
  for (const [at, part] of parts.entries())
    for (let n = 0; n < part.length - 1; n += part.length > 40 ? 7 : 1) {
      const flipped = part[n] === 'A' ? 'B' : 'A';
      const code = await decrypt({ ciphertext: withPart(at, part.slice(0, n) + flipped + part.slice(n + 1)) });
      expect({ at, n, code }).toEqual({ at, n, code: 'ERR_DECRYPTION_FAILED' });
    }
  // The last character holds unused bits: there is one spelling only.
  const last = parts[4]!;
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const sibling = alphabet[alphabet.indexOf(last.at(-1)!) ^ 1]!;
  expect(await decrypt({ ciphertext: withPart(4, last.slice(0, -1) + sibling) })).toBe('ERR_MALFORMED_REQUEST');
  for (const broken of [
    parts.slice(0, 4).join('.'),
    `${ciphertext}.`,
    ciphertext.slice(0, -1),
    `${ciphertext} `,
    '....',
    ciphertext.replaceAll('.', ''),
  ])
    expect(await decrypt({ ciphertext: broken })).toBe('ERR_MALFORMED_REQUEST');
  await eachReplyHasItsRecord(door);
  await everyServiceAnswers();
});

test('a revoked session is refused everywhere, its connection ends, and its token opens no other', async () => {
  const token = await system.login('orders');
  const caller = await system.raw('orders', token);
  expect(codeIn(await caller.ask('crypto.generate-random', { bytes: 8 }))).toBe('OK');
  const codes = codesUntilClosed(caller);
  await sam.access.revokeSession({ session: caller.session, reason: 'test' });
  for (const code of await codes) expect(['OK', 'ERR_SESSION_REVOKED', 'cut']).toContain(code);
  const records = (await ledger.readOn()).operations.filter((r) => r.session === caller.session);
  const firstRefusal = records.findIndex((r) => r.code === 'ERR_SESSION_REVOKED');
  if (firstRefusal !== -1) expect(records.slice(firstRefusal).filter((r) => r.outcome === 'success')).toEqual([]);
  await expect(system.raw('orders', token)).rejects.toThrow(/authorization violation/i);
  await everyServiceAnswers();
});

/** What requests get on this connection, until the broker closes it. */
async function codesUntilClosed({ connection, ask }: RawCaller): Promise<Set<string>> {
  const codes = new Set<string>();
  const ended = connection.closed().then(() => undefined);
  while (!connection.isClosed()) {
    codes.add(await ask('crypto.generate-random', { bytes: 8 }).then(codeIn, () => 'cut'));
    await Promise.race([ended, delay(20)]);
  }
  return codes;
}

const base = (): { door: Door; operation: string; fields: Record<string, unknown> }[] =>
  doors.map((door) => ({ door, operation: door.operation, fields: door.fields() }));

/** Valid requests with one thing wrong: a value, a name, a byte. */
const mutated = () =>
  fc.constantFrom(...base().keys()).chain((index) => {
    const names = ['type', 'requestId', 'keyId', ...Object.keys(base()[index]!.fields)];
    return fc.oneof(
      fc
        .tuple(fc.constantFrom(...names), fc.jsonValue())
        .map(([name, value]) => ({ index, edit: (text: string) => JSON.stringify({ ...JSON.parse(text), [name]: value }) })),
      fc
        .tuple(fc.string(), fc.jsonValue())
        .map(([name, value]) => ({ index, edit: (text: string) => JSON.stringify({ ...JSON.parse(text), [name]: value }) })),
      fc
        .constantFrom(...names)
        .map((name) => ({ index, edit: (text: string) => JSON.stringify({ ...JSON.parse(text), [name]: undefined }) })),
      fc.tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 4 })).map(([at, bytes]) => ({
        index,
        edit: (text: string) => {
          const raw = Buffer.from(text);
          raw.set(bytes.slice(0, Math.max(0, raw.length - (at % raw.length))), at % raw.length);
          return raw;
        },
      })),
      fc.nat().map((at) => ({ index, edit: (text: string) => text.slice(0, at % text.length) })),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => ({ index, edit: () => bytes as Uint8Array })),
    );
  });

test('whatever is changed in a valid request, the answer is a reply of the contract and is recorded once', async () => {
  await fc.assert(
    fc.asyncProperty(mutated(), async ({ index, edit }) => {
      const { door, fields } = base()[index]!;
      await send(door, edit(body(fields)) as string | Uint8Array);
    }),
    { numRuns: 300 },
  );
  for (const door of doors) await eachReplyHasItsRecord(door);
  await everyServiceAnswers();
});

test('a session ends with its token while it is connected, and the expired token opens no other', async () => {
  const url = system.stack.broker.url;
  const codes = await untilExpiry;
  expect(codes).toContain('OK');
  for (const code of codes) expect(['OK', 'ERR_SESSION_EXPIRED', 'cut']).toContain(code);
  const before = await refusedForExpiry();
  await until(
    async () =>
      rawCaller(url, cast.orders.id, shortLived).then(
        (c) => c.close().then(() => false),
        (error) => /authorization violation/i.test(error.message),
      ),
    {
      what: 'the broker to refuse the expired token',
      timeoutMs: 20_000,
    },
  );
  await until(async () => (await refusedForExpiry()) > before, { what: 'the refusal in the ledger', timeoutMs: 20_000 });
  expect(await codeOf(payments.crypto.encrypt({ keyId, plaintext: Buffer.from('x') }))).toBe('OK');
});

const refusedForExpiry = async () =>
  (await ada.audit.query({ kind: 'session', principal: cast.orders.id, limit: 200 })).records.filter(
    ({ record }) => record.code === 'token-expired',
  ).length;
