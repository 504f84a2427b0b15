import { connect as dial, type Socket } from 'node:net';
import {
  auditOperations,
  cryptoOperations,
  internalOperations,
  internalSubject,
  limits,
  ProblemError,
  pack,
  policyOperations,
  type Receipt,
  Reply,
  requestSubject,
  requestType,
} from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { type AdmitPacked, askInternal, parseInput, RecordedProblem, type RequestContext, RequestServer } from '../src/index';
import { type PlainBroker, startPlainBroker } from './plain-broker';

let broker: PlainBroker;
let caller: NatsConnection;
let service: NatsConnection;
let serving: NatsConnection;
let server: RequestServer;
let refusals: { request: RequestContext; code: string }[];
let recordable = true;

const receipt: Receipt = { worker: 'w1', epoch: 'e1', seq: 3, batchHash: 'A'.repeat(43), index: 5 };
const session = 'S'.repeat(22);
const subject = (verb: string, of = 'crypto') => requestSubject({ principal: 'payments-api', session, service: of, verb });
const body = (fields: object) => JSON.stringify({ type: requestType, ...fields });
const random = body({ bytes: 8 });
const ask = async (verb: string, payload: string | Uint8Array, h?: ReturnType<typeof headers>, of?: string): Promise<Reply> =>
  Reply.parse((await caller.request(subject(verb, of), payload, { timeout: 5_000, ...(h ? { headers: h } : {}) })).json());
const codeOf = (reply: Reply) => ('problem' in reply ? reply.problem.code : 'OK');
const answers = { random: async (): Promise<unknown> => ({ result: { random: 'AAAA' }, receipt }) };

/** Requests cross from one account to the other, as they do between CLIENTS and CORE. */
const twoAccounts = `
max_payload: 8MB
accounts {
  CORE { users: [ { user: core, password: core } ], exports: [ { service: "claviger.v1.>" } ] }
  CLIENTS { users: [ { user: clients, password: clients } ], imports: [ { service: { account: CORE, subject: "claviger.v1.>" } } ] }
}
no_auth_user: core
`;

beforeAll(async () => {
  broker = await startPlainBroker(twoAccounts);
  caller = await broker.connection({ user: 'clients', pass: 'clients' });
  service = await broker.connection({ inboxPrefix: '_INBOX.core.asker' });
});
afterAll(async () => {
  await broker.close();
});
beforeEach(async () => {
  await serving?.close();
  serving = await broker.connection();
  refusals = [];
  recordable = true;
  answers.random = async () => ({ result: { random: 'AAAA' }, receipt });
  server = await started({});
});

async function started(more: { maxInFlight?: number; closeWaitMs?: number; admitPacked?: AdmitPacked }): Promise<RequestServer> {
  const made = new RequestServer({
    connection: serving,
    services: { crypto: cryptoOperations, policy: { publish: policyOperations.publish } },
    internal: { hsm: { generateKek: internalOperations.generateKek } },
    ...more,
  });
  Object.assign(made, { logger: { error: () => undefined, warn: () => undefined } });
  made.addHandler('crypto.generate-random', (async () => answers.random()) as never);
  made.addHandler('hsm.generate-kek', (async () => {
    throw new ProblemError('ERR_HSM_UNAVAILABLE');
  }) as never);
  made.recordRefusalsWith(async (request, _operation, refusal) => {
    if (!recordable) throw new ProblemError('ERR_AUDIT_UNAVAILABLE');
    refusals.push({ request, code: refusal.code });
    return receipt;
  });
  await new Promise<void>((resolve, reject) => made.listen((error) => (error ? reject(error) : resolve())));
  return made;
}

test('a valid request is answered with the result and the receipt of its handler', async () => {
  expect(await ask('generate-random', random)).toEqual({ result: { random: 'AAAA' }, receipt });
});

test.each([
  ['not JSON', 'x', 'ERR_MALFORMED_REQUEST'],
  ['nothing', '', 'ERR_MALFORMED_REQUEST'],
  ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'ERR_MALFORMED_REQUEST'],
  ['a JSON null', 'null', 'ERR_MALFORMED_REQUEST'],
  ['no type', '{"bytes":8}', 'ERR_MALFORMED_REQUEST'],
  ['a reply', JSON.stringify({ result: {}, receipt }), 'ERR_MALFORMED_REQUEST'],
  ['a wrong type', body({ bytes: '8' }), 'ERR_MALFORMED_REQUEST'],
  ['an unknown field', body({ bytes: 8, admin: true }), 'ERR_MALFORMED_REQUEST'],
  ['nesting without end', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, 'ERR_MALFORMED_REQUEST'],
  ['too many bytes', Buffer.alloc(limits.messageBytes + 1, 0x20), 'ERR_PAYLOAD_TOO_LARGE'],
])('%s is refused, recorded once, and the next request is answered', async (_what, payload, code) => {
  const reply = await ask('generate-random', payload);
  expect(reply).toMatchObject({ problem: { code }, receipt });
  expect(refusals).toMatchObject([{ code, request: { principal: 'payments-api', session } }]);
  expect(codeOf(await ask('generate-random', random))).toBe('OK');
});

test('a plaintext over its limit is told apart from a malformed request', async () => {
  const plaintext = 'A'.repeat(Math.ceil((limits.plaintextBytes * 4) / 3) + 4);
  expect(codeOf(await ask('encrypt', body({ keyId: `k_${'A'.repeat(22)}`, plaintext })))).toBe('ERR_UNKNOWN_OPERATION');
  server.addHandler('crypto.encrypt', (async () => ({ result: {} })) as never);
  server.listen(() => undefined);
  expect(codeOf(await ask('encrypt', body({ keyId: `k_${'A'.repeat(22)}`, plaintext })))).toBe('ERR_PAYLOAD_TOO_LARGE');
});

test('a member of the name of what all objects have is refused, also inside a context, where it would be passed over in silence', () => {
  const fields = { keyId: `k_${'A'.repeat(22)}`, plaintext: '' };
  const encrypt = (context: string) =>
    parseInput(cryptoOperations.encrypt, Buffer.from(body(fields).replace(/}$/, `,"context":${context}}`)));
  expect(encrypt('{"tenant":"acme"}')).toMatchObject({ context: { tenant: 'acme' } });
  expect(() => encrypt('{"tenant":"acme","\\u005f_proto__":"x"}')).toThrow(/ERR_MALFORMED_REQUEST/);
});

test('the lists of a request that was packed are looked at up to the first thing that is wrong, and not at all when they are too long', () => {
  const group = (members: unknown[]) => ({ id: 'g', tenant: 't', members, roles: [], revision: 1 });
  const publish = (groups: unknown[]) => {
    const bundle = { format: 'claviger.bundle/1', policies: 'p', schema: 's', principals: [], roles: [], grants: [], groups };
    const sent = { basedOn: 1, reason: 'r', bundle: pack(JSON.stringify(bundle)) };
    return parseInput(policyOperations.publish, Buffer.from(body(sent)));
  };
  const bad = Array.from({ length: 1_900 }, () => '');
  const good = Array.from({ length: 1_900 }, () => 'a');
  expect(publish([group(good)])).toMatchObject({ bundle: { groups: [{ members: good }] } });
  for (const [groups, said] of [
    [[group(good), group(bad)], /bundle\.groups\.1\.members\.0: [^;]*$/],
    [[group(Array.from({ length: 1_000_000 }, () => ''))], /bundle\.groups\.0\.members: at most 2000 items$/],
    [Array.from({ length: 1_001 }, () => 0), /bundle\.groups: at most 1000 items$/],
    [Array.from({ length: 200 }, () => group(good)), /bundle\.groups\.131\.members: at most 250000 items in all lists$/],
  ] as const)
    expect(() => publish([...groups])).toThrow(expect.objectContaining({ detail: expect.stringMatching(said) }));
});

test('what is packed is inflated for those only who are admitted to it before; what refuses them has recorded it', async () => {
  const publish = (bundle: unknown) => ask('publish', body({ basedOn: 1, reason: 'r', bundle }), undefined, 'policy');
  const bomb = { deflated: 'AAAA', bytes: 8_000_000 };
  const asked: string[] = [];
  const serve = async (admitPacked?: AdmitPacked) => {
    // The one before answers no more.
    await serving.close();
    serving = await broker.connection();
    const made = await started({ ...(admitPacked ? { admitPacked } : {}) });
    made.addHandler(policyOperations.publish.name, (async () => ({ result: {} })) as never);
    made.listen(() => undefined);
  };
  await serve(async ({ principal }, { name }) => {
    asked.push(`${principal} ${name}`);
    throw new RecordedProblem(new ProblemError('ERR_ACCESS_DENIED'), receipt);
  });
  expect(await publish(bomb)).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' }, receipt });
  expect({ asked, refusals }).toEqual({ asked: ['payments-api policy.publish'], refusals: [] });
  // What is not packed costs what it looks like: the handler asks.
  expect(codeOf(await publish({}))).toBe('ERR_MALFORMED_REQUEST');
  expect(asked).toHaveLength(1);

  await serve(async () => undefined);
  expect(await publish(bomb)).toMatchObject({ problem: { code: 'ERR_MALFORMED_REQUEST', detail: expect.stringContaining('no JSON') } });

  await serve();
  expect(await publish(bomb)).toMatchObject({ problem: { code: 'ERR_MALFORMED_REQUEST', detail: 'Nothing packed is taken here.' } });
});

test('the detail of a refusal names fields and rules, never values', async () => {
  const reply = await ask('generate-random', body({ bytes: 'hunter2-secret' }));
  expect(JSON.stringify(reply)).not.toContain('hunter2');
  expect(reply).toMatchObject({ problem: { detail: expect.stringContaining('bytes') } });
});

test('a verb that does not exist is answered as such', async () => {
  expect(codeOf(await ask('launch', random))).toBe('ERR_UNKNOWN_OPERATION');
  expect(refusals).toMatchObject([{ code: 'ERR_UNKNOWN_OPERATION' }]);
});

test('only a trace context may ride in the headers: identity never comes from one', async () => {
  const forged = headers();
  forged.set('Claviger-Principal', 'root');
  expect(codeOf(await ask('generate-random', random, forged))).toBe('ERR_HEADER_REFUSED');
  const traced = headers();
  traced.set('traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01');
  expect(codeOf(await ask('generate-random', random, traced))).toBe('OK');
});

/** The client library does not write malformed headers; a hostile client does. */
async function rawPublish(headerLines: string, payload: string): Promise<void> {
  const socket: Socket = dial({ port: broker.port, host: '127.0.0.1' });
  await new Promise((resolve) => socket.once('data', resolve));
  const reply = '_INBOX.raw';
  const head = Buffer.from(`NATS/1.0\r\n${headerLines}\r\n\r\n`);
  socket.write('CONNECT {"user":"clients","pass":"clients","headers":true,"verbose":false,"no_responders":false}\r\n');
  socket.write(`HPUB ${subject('generate-random')} ${reply} ${head.length} ${head.length + payload.length}\r\n`);
  socket.write(Buffer.concat([head, Buffer.from(`${payload}\r\nPING\r\n`)]));
  await until(() => refusals.length > 0, { what: 'the message to be refused' });
  socket.destroy();
}

test.each(['Bad Name: x', ' : x', 'Naïve: x', ': empty'])(
  'a malformed header (%j) cannot end the read loop: it is refused and the next request answered',
  async (line) => {
    await rawPublish(line, random);
    expect(refusals).toMatchObject([{ code: 'ERR_HEADER_REFUSED' }]);
    expect(codeOf(await ask('generate-random', random))).toBe('OK');
    await server.selfRequest(2_000);
  },
);

test("what a consumer delivers onto a request subject is nobody's request", async () => {
  const strangers = await broker.connection();
  await expect(strangers.request(subject('generate-random'), random, { timeout: 300 })).rejects.toThrow();
  await expect(caller.request(internalSubject('hsm', 'generate-kek'), random, { timeout: 300 })).rejects.toThrow();
  expect(codeOf(await ask('generate-random', random))).toBe('OK');
});

test('a subject that no admitted caller has is not answered, and nothing is lost by it', async () => {
  await expect(caller.request('claviger.v1.UPPER.short.crypto.generate-random', random, { timeout: 300 })).rejects.toThrow();
  expect(codeOf(await ask('generate-random', random))).toBe('OK');
});

test('a handler that fails is answered with a closed code and no cause', async () => {
  answers.random = async () => {
    throw new Error('pin 1234 is wrong');
  };
  const reply = await ask('generate-random', random);
  expect(codeOf(reply)).toBe('ERR_INTERNAL');
  expect(JSON.stringify(reply)).not.toContain('1234');
  answers.random = async () => {
    throw new RecordedProblem(new ProblemError('ERR_ACCESS_DENIED'), receipt);
  };
  expect(await ask('generate-random', random)).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' }, receipt });
  expect(refusals).toEqual([]);
});

test('the cause of a recorded failure goes to the log', async () => {
  const warn = jest.fn();
  Object.assign(server, { logger: { warn, error: () => undefined } });
  answers.random = async () => {
    throw new RecordedProblem(new ProblemError('ERR_HSM_UNAVAILABLE', undefined, { cause: new Error('slot 3 is gone') }), receipt);
  };
  expect(codeOf(await ask('generate-random', random))).toBe('ERR_HSM_UNAVAILABLE');
  expect(warn).toHaveBeenCalledWith(expect.stringContaining('slot 3 is gone'));
});

test('no record, no answer: a refusal that cannot be recorded is not told', async () => {
  recordable = false;
  const reply = await ask('generate-random', 'x');
  expect(codeOf(reply)).toBe('ERR_AUDIT_UNAVAILABLE');
  expect(reply).not.toHaveProperty('receipt');
});

test('the request id comes back in a problem', async () => {
  answers.random = async () => {
    throw new ProblemError('ERR_KEY_UNKNOWN');
  };
  expect(await ask('generate-random', body({ bytes: 8, requestId: 'r-1' }))).toMatchObject({ problem: { requestId: 'r-1' } });
});

test('more requests than it takes are told to come back, and those in flight are answered', async () => {
  await server.close();
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  let entered = 0;
  answers.random = async () => {
    entered++;
    await held;
    return { result: { random: 'AAAA' } };
  };
  await started({ maxInFlight: 2 });
  const inFlight = [ask('generate-random', random), ask('generate-random', random)];
  await until(() => entered === 2, { what: 'two requests in flight' });
  expect(codeOf(await ask('generate-random', random))).toBe('ERR_OVERLOADED');
  release();
  expect((await Promise.all(inFlight)).map(codeOf)).toEqual(['OK', 'OK']);
});

test('draining answers everything that was sent before it left the queue group: nothing is lost, nothing is refused', async () => {
  const other = await broker.connection();
  const asked = Array.from({ length: 2_000 }, () => ask('generate-random', random));
  await caller.flush();
  await server.close();
  // Whoever comes later finds nobody, at once.
  await expect(other.request(subject('generate-random'), random, { timeout: 1_000 })).rejects.toThrow(/no responders/i);
  expect(new Set((await Promise.all(asked)).map(codeOf))).toEqual(new Set(['OK']));
});

test('draining ends although the broker does not answer', async () => {
  await server.close();
  server = await started({ closeWaitMs: 200 });
  broker.pause();
  try {
    await server.close();
  } finally {
    broker.resume();
  }
});

test('it proves that it is alive before it takes requests, and without a request being recorded', async () => {
  const idle = new RequestServer({ connection: serving, services: { crypto: cryptoOperations } });
  await idle.selfRequest(2_000);
  await idle.selfRequest(2_000);
  expect(refusals).toEqual([]);
});

test('an internal operation of a service that callers reach as well is not reached by them, and the other way round', async () => {
  const both = new RequestServer({
    connection: serving,
    services: { audit: auditOperations },
    internal: { audit: { personal: internalOperations.storePersonal } },
  });
  Object.assign(both, { logger: { error: () => undefined, warn: () => undefined } });
  const reached = jest.fn(async () => ({ result: { stored: 0 } }));
  both.addHandler('audit.personal', reached as never);
  both.addHandler('audit.checkpoint', reached as never);
  await new Promise<void>((resolve, reject) => both.listen((error) => (error ? reject(error) : resolve())));
  const subject = requestSubject({ principal: 'payments-api', session, service: 'audit', verb: 'personal' });
  const reply = (await caller.request(subject, body({ values: [] }), { timeout: 2_000 })).json();
  expect(codeOf(reply as Reply)).toBe('ERR_UNKNOWN_OPERATION');
  const asked = askInternal(service, { ...auditOperations.checkpoint, retry: 'safe' }, {}, { timeoutMs: 2_000 });
  await expect(asked).rejects.toMatchObject({ code: 'ERR_UNKNOWN_OPERATION' });
  expect(reached).not.toHaveBeenCalled();
  expect(await askInternal(service, internalOperations.storePersonal, { values: [] }, { timeoutMs: 2_000 })).toEqual({ stored: 0 });
  await both.close();
});

test('internal requests: nobody, no answer in time and a problem are three different errors', async () => {
  const options = { timeoutMs: 2_000 };
  await expect(askInternal(service, internalOperations.generateKek, {}, options)).rejects.toMatchObject({ code: 'ERR_HSM_UNAVAILABLE' });
  await expect(askInternal(service, internalOperations.storePersonal, { values: [] }, options)).rejects.toMatchObject({
    code: 'ERR_WORKER_UNAVAILABLE',
  });
  serving.subscribe(internalSubject('audit', 'personal'), { callback: () => undefined });
  await serving.flush();
  await expect(askInternal(service, internalOperations.storePersonal, { values: [] }, options)).rejects.toMatchObject({
    code: 'ERR_TIMEOUT',
  });
});
