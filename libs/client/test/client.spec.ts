import { randomBytes } from 'node:crypto';
import { limits, ProblemError } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { ClavigerError, type Client, type ConnectOptions, connect } from '../src';
import { keyId, type SmallSystem, startSmallSystem, tokenFor } from './small-system';

let system: SmallSystem;
/** For the tests that leave its connection alone: an admission costs a callout in JavaScript more than a call does. */
let client: Client;
const clients: Client[] = [];
const open = async (options: Partial<ConnectOptions> = {}) => {
  const principal = options.principal ?? 'payments-api';
  const client = await connect({ servers: system.broker.url, principal, credential: { token: tokenFor(principal) }, ...options });
  clients.push(client);
  return client;
};
const failure = async (work: Promise<unknown>): Promise<ClavigerError> => {
  const error = await work.then(
    () => undefined,
    (e) => e,
  );
  expect(error).toBeInstanceOf(ClavigerError);
  return error as ClavigerError;
};

beforeAll(async () => {
  system = await startSmallSystem();
  client = await connect({ servers: system.broker.url, principal: 'payments-api', credential: { token: tokenFor('payments-api') } });
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  system.refusing.clear();
});
afterAll(async () => {
  await client.close();
  await system.stop();
});

test('what was encrypted decrypts, as bytes, and each outcome says where its record lies', async () => {
  const plaintext = randomBytes(1_024);
  const { ciphertext, version, receipt } = await client.crypto.encrypt({ keyId, plaintext, context: { tenant: 'acme' } });
  expect(version).toBe(1);
  expect(receipt).toMatchObject({ worker: 'w', index: 0 });
  const decrypted = await client.crypto.decrypt({ keyId, ciphertext, context: { tenant: 'acme' } });
  expect(decrypted.plaintext).toBeInstanceOf(Uint8Array);
  expect(Buffer.from(decrypted.plaintext)).toEqual(plaintext);
  // Memory of its own: overwriting it must not touch anything else.
  expect(decrypted.plaintext.byteOffset).toBe(0);
  expect(decrypted.plaintext.buffer.byteLength).toBe(1_024);
});

test('a batch takes bytes in its items and gives bytes in its results; an item that failed has its problem', async () => {
  const plaintexts = [randomBytes(8), randomBytes(9)];
  const sealed = await client.crypto.encryptBatch({ items: plaintexts.map((plaintext) => ({ keyId, plaintext })) });
  const ciphertexts = sealed.results.map((one) => ('result' in one ? one.result.ciphertext : ''));
  const [, tampered] = ciphertexts as [string, string];
  const opened = await client.crypto.decryptBatch({
    items: [...ciphertexts, `${tampered.slice(0, -22)}${'A'.repeat(22)}`].map((ciphertext) => ({ keyId, ciphertext })),
  });
  expect(opened.results.map((one) => ('result' in one ? Buffer.from(one.result.plaintext) : one.problem.code))).toEqual([
    ...plaintexts,
    'ERR_DECRYPTION_FAILED',
  ]);
});

test('each connection is a session of its own, proposed by the client', async () => {
  const [a, b] = [await open(), await open()];
  expect(a.session).toMatch(/^[A-Za-z0-9]{22}$/);
  expect(a.session).not.toBe(b.session);
  expect(system.admitted.map((s) => s.session)).toEqual(expect.arrayContaining([a.session, b.session]));
});

test('an untraced call carries no header', async () => {
  const { promise, resolve } = Promise.withResolvers<string[]>();
  const before = system.handlers['crypto.generate-random']!;
  system.handlers['crypto.generate-random'] = (input, from) => {
    resolve(from.headers.filter((name) => name !== 'Nats-Request-Info'));
    return before(input, from);
  };
  await client.crypto.generateRandom({ bytes: 8 });
  system.handlers['crypto.generate-random'] = before;
  expect(await promise).toEqual([]);
});

test('text where bytes belong is refused before it is sent', async () => {
  const text = 'secret' as unknown as Uint8Array;
  await expect(client.crypto.encrypt({ keyId, plaintext: text })).rejects.toThrow(TypeError);
});

test('a plaintext over the limit is refused before it is sent', async () => {
  const sent = system.seen.length;
  const error = await failure(client.crypto.encrypt({ keyId, plaintext: new Uint8Array(limits.plaintextBytes + 1) }));
  expect(error).toMatchObject({ code: 'ERR_PAYLOAD_TOO_LARGE', status: 413, retryable: false });
  expect(system.seen).toHaveLength(sent);
});

test('a problem is an error with code, detail, status and what to do next', async () => {
  const error = await failure(client.crypto.decrypt({ keyId, ciphertext: `${'e'.repeat(8)}..${'A'.repeat(16)}.AA.${'A'.repeat(22)}` }));
  expect(error).toMatchObject({ code: 'ERR_DECRYPTION_FAILED', status: 400, retryable: false });
  expect(error.next).toMatch(/encryption context/);
});

test('a retryable problem of a safe operation is tried again with the same request id', async () => {
  let attempts = 0;
  const before = system.handlers['crypto.generate-random']!;
  system.handlers['crypto.generate-random'] = (input, from) => {
    if (++attempts < 3) throw new ProblemError('ERR_OVERLOADED');
    return before(input, from);
  };
  const from = system.seen.length;
  await client.crypto.generateRandom({ bytes: 8 });
  system.handlers['crypto.generate-random'] = before;
  expect(attempts).toBe(3);
  expect(new Set(system.seen.slice(from).map((s) => s.requestId)).size).toBe(1);
});

test('no answer to a safe operation: another attempt within the deadline', async () => {
  let attempts = 0;
  const before = system.handlers['crypto.generate-random']!;
  system.handlers['crypto.generate-random'] = (input, from) => (++attempts === 1 ? undefined : before(input, from));
  expect((await client.crypto.generateRandom({ bytes: 8 })).random).toHaveLength(8);
  system.handlers['crypto.generate-random'] = before;
  expect(attempts).toBe(2);
});

test('no answer to an operation that is not safe to repeat: sent once, and the outcome is unknown', async () => {
  let received = 0;
  const silent = await system.keyService(() => void received++);
  const error = await failure(client.keys.rotate({ keyId, reason: 'yearly' }, { timeoutMs: 300 }));
  expect(error).toMatchObject({ code: 'ERR_TIMEOUT', status: 504 });
  expect(error.next).toMatch(/outcome is unknown/);
  expect(received).toBe(1);
  await silent.close();
});

test('nobody serves the operation: ERR_WORKER_UNAVAILABLE, and a service that comes in time still answers', async () => {
  expect(await failure(client.keys.rotate({ keyId, reason: 'yearly' }, { timeoutMs: 3_000 }))).toMatchObject({
    code: 'ERR_WORKER_UNAVAILABLE',
  });
  const late = client.keys.rotate({ keyId, reason: 'yearly' }, { timeoutMs: 10_000 });
  const refusing = await system.keyService((m) => m.respond(JSON.stringify({ problem: new ProblemError('ERR_KEY_UNKNOWN').toProblem() })));
  // Not a safe operation, but nobody had received it.
  expect(await failure(late)).toMatchObject({ code: 'ERR_KEY_UNKNOWN' });
  await refusing.close();
});

test('a reply outside the contract is ERR_INTERNAL, never a result', async () => {
  const service = await system.keyService((m) => m.respond(JSON.stringify({ result: { keyId, surprise: true } })));
  expect(await failure(client.keys.describe({ keyId }))).toMatchObject({ code: 'ERR_INTERNAL' });
  await service.close();
});

test('a call that hears why it cannot be done and then nothing more reports what it heard', async () => {
  const before = system.handlers['crypto.generate-random']!;
  let asked = 0;
  system.handlers['crypto.generate-random'] = () => {
    if (asked++ === 0) throw new ProblemError('ERR_HSM_UNAVAILABLE', 'The token is away.');
    return undefined;
  };
  const error = await failure(client.crypto.generateRandom({ bytes: 8 }, { timeoutMs: 600 }));
  expect(asked).toBeGreaterThan(1);
  expect(error).toMatchObject({ code: 'ERR_HSM_UNAVAILABLE', retryable: true, detail: 'The token is away.' });
  system.handlers['crypto.generate-random'] = before;
});

test('of a call that must not be repeated only the deadline is told, whatever was heard before somebody received it', async () => {
  const unanswered = client.keys.rotate({ keyId, reason: 'x' }, { timeoutMs: 6_000 });
  const received = Promise.withResolvers<void>();
  const keys = await system.keyService(() => received.resolve());
  const error = await failure(unanswered);
  await received.promise;
  expect(error.code).toBe('ERR_TIMEOUT');
  await keys.close();
});

test('a broker that dies and comes back: the call waits for the new session and is answered', async () => {
  const client = await open();
  const before = client.session;
  await system.broker.kill9();
  const call = client.crypto.generateRandom({ bytes: 8 }, { timeoutMs: 20_000 });
  await system.broker.restart();
  expect((await call).random).toHaveLength(8);
  expect(client.session).not.toBe(before);
});

test('a broker that stays away: ERR_CONNECTION at the deadline, nothing was sent', async () => {
  const client = await open();
  await system.broker.kill9();
  const error = await failure(client.keys.rotate({ keyId, reason: 'x' }, { timeoutMs: 500 }));
  expect(['ERR_CONNECTION', 'ERR_TIMEOUT']).toContain(error.code);
  expect(await failure(client.keys.rotate({ keyId, reason: 'x' }, { timeoutMs: 500 }))).toMatchObject({ code: 'ERR_CONNECTION' });
  await system.broker.restart();
  expect((await client.crypto.generateRandom({ bytes: 8 }, { timeoutMs: 20_000 })).random).toHaveLength(8);
});

test('refused credentials are told at once, and an expired token is not even shown', async () => {
  system.refusing.add('payments-api');
  expect(await failure(open())).toMatchObject({ code: 'ERR_AUTHENTICATION', status: 401 });
  const shown = system.admitted.length;
  expect(await failure(open({ credential: { token: tokenFor('payments-api', -1) } }))).toMatchObject({ code: 'ERR_AUTHENTICATION' });
  expect(system.admitted).toHaveLength(shown);
});

test('a broker that is not there is ERR_CONNECTION after the deadline', async () => {
  expect(await failure(open({ servers: 'nats://127.0.0.1:1', timeoutMs: 300 }))).toMatchObject({ code: 'ERR_CONNECTION' });
});

test('the session is renewed before its token expires, and no request fails on the way', async () => {
  const client = await open({ credential: { token: tokenFor('payments-api', 12) } });
  const first = client.session;
  let failed = 0;
  let asked = 0;
  await until(
    async () => {
      asked++;
      await client.crypto.generateRandom({ bytes: 8 }).catch(() => failed++);
      return client.session !== first;
    },
    { what: 'a renewed session', timeoutMs: 20_000, everyMs: 5 },
  );
  expect(failed).toBe(0);
  expect(asked).toBeGreaterThan(1);
  // The renewed token came from access.issue-token, asked for by the principal itself.
  expect(system.seen.some((s) => s.operation === 'access.issue-token')).toBe(true);
});

test('an authentication too old to renew: calls go on until the session ends, then they hear that and what to do', async () => {
  const issue = system.handlers['access.issue-token']!;
  system.handlers['access.issue-token'] = () => {
    throw new ProblemError('ERR_AUTHENTICATION', 'You authenticated too long ago to renew: authenticate anew.');
  };
  const client = await open({ credential: { token: tokenFor('payments-api', 8) } });
  const refused = await until(
    () =>
      client.crypto.generateRandom({ bytes: 8 }, { timeoutMs: 1_000 }).then(
        () => undefined,
        (error: ClavigerError) => (error.code === 'ERR_AUTHENTICATION' ? error : undefined),
      ),
    { what: 'the end of the last session', timeoutMs: 30_000, everyMs: 100 },
  );
  expect(refused.detail).toMatch(/not renewed\. You authenticated too long ago to renew: authenticate anew/);
  expect(refused.next).toMatch(/fresh token/);
  system.handlers['access.issue-token'] = issue;
});

test('a request in flight while the session is replaced is answered on its own connection', async () => {
  const client = await open();
  const first = client.session;
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const before = system.handlers['crypto.generate-random']!;
  system.handlers['crypto.generate-random'] = async (input, from) => {
    if (from.session === first) await held;
    return before(input, from);
  };
  const inFlight = client.crypto.generateRandom({ bytes: 8 });
  const decrypt = system.handlers['crypto.decrypt']!;
  let refused = 0;
  system.handlers['crypto.decrypt'] = (input, from) => {
    if (from.session === first && ++refused) throw new ProblemError('ERR_SESSION_EXPIRED');
    return decrypt(input, from);
  };
  const { ciphertext } = await client.crypto.encrypt({ keyId, plaintext: new Uint8Array(1) });
  await client.crypto.decrypt({ keyId, ciphertext });
  expect(refused).toBe(1);
  expect(client.session).not.toBe(first);
  release();
  expect((await inFlight).random).toHaveLength(8);
  system.handlers['crypto.generate-random'] = before;
  system.handlers['crypto.decrypt'] = decrypt;
});

test('a closed client refuses', async () => {
  const client = await open();
  await client.close();
  expect(await failure(client.crypto.generateRandom({ bytes: 8 }))).toMatchObject({ code: 'ERR_CONNECTION' });
});
