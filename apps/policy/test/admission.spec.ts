import { randomBytes, randomUUID } from 'node:crypto';
import { cloudEvent, eventSubject, grantedSubjects, requestSubject, requestType, sessionIn } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection, tokenAuthenticator } from '@nats-io/transport-node';
import { ask, build, type Caller, PolicySystem, principal, sessionId, TestKey, tokenFor } from './policy-system';

let system: PolicySystem;
const refused = 'Authorization Violation';

beforeAll(async () => {
  await build();
  system = await PolicySystem.start({
    principals: [
      principal('sofia', { roles: ['security-officer'] }),
      principal('payments-api', { kind: 'service', roles: ['application'] }),
      principal('orders-api', { kind: 'service', roles: ['application'] }),
      principal('dora', { disabled: true }),
      principal('nora', { identities: [] }),
    ],
  });
  await system.startPolicy();
  // The first admission of a process that just started may take longer than the broker waits for it.
  await until(async () => (await system.attempt('payments-api')) === 'admitted', { what: 'the first admission', timeoutMs: 30_000 });
}, 120_000);

afterAll(async () => {
  // Whatever was tried above, the chain of batches is whole.
  if (system) expect((await system.records()).length).toBeGreaterThan(0);
  await system?.stop();
});

describe('who is admitted', () => {
  test('a registered principal with a token of a control key, and the opening is in the ledger before it may speak', async () => {
    const caller = await system.caller('payments-api', { token: system.token('payments-api', { amr: ['pwd', 'mfa'] }) });
    const opened = (await system.records()).find((line) => line.session === caller.session);
    expect(opened).toMatchObject({ kind: 'session', event: 'opened', principal: 'payments-api', method: 'token', mfa: true });
    expect(opened?.ip).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(JSON.stringify(opened)).not.toContain('127.0.0.1');
  });

  test('a session record that every worker can verify names the connection and ends with the token', async () => {
    const views = await system.views();
    const { session } = await system.caller('payments-api', { token: system.token('payments-api', { lifetimeSeconds: 120 }) });
    const view = await until(() => sessionIn(views.sessions.get(session)), { what: 'the session to arrive' });
    expect(view).toMatchObject({ principal: 'payments-api', state: 'active', revision: 1, mfa: false });
    const livesMs = Date.parse(view.expiresAt) - Date.parse(view.issuedAt);
    expect(livesMs).toBeGreaterThan(100_000);
    expect(livesMs).toBeLessThanOrEqual(120_000);
    views.stop();
  });

  const stranger = new TestKey('control-of-test');
  const unknownKid = new TestKey('somebody');
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = (sub: string) => {
    const iat = Math.floor(Date.now() / 1_000);
    return {
      iss: 'claviger',
      sub,
      iat,
      exp: iat + 60,
      jti: randomUUID(),
      amr: [],
      auth_time: iat,
      chain: randomBytes(32).toString('base64url'),
    };
  };
  const hostile: [what: string, reason: string, given: () => { token: string; session?: string }][] = [
    ['an expired token', 'token-expired', () => ({ token: system.token('sofia', { issuedSecondsAgo: 700 }) })],
    ['a token from the future', 'token-lifetime', () => ({ token: system.token('sofia', { issuedSecondsAgo: -120 }) })],
    ['a token that lives an hour', 'token-lifetime', () => ({ token: system.token('sofia', { lifetimeSeconds: 3_600 }) })],
    ['a token of another key under a trusted kid', 'token-signature', () => ({ token: tokenFor('sofia', stranger) })],
    ['a token of an unknown kid', 'token-signature', () => ({ token: tokenFor('sofia', unknownKid) })],
    ['alg none', 'token-signature', () => ({ token: `${part({ alg: 'none', typ: 'claviger-token+jwt' })}.${part(claims('sofia'))}.` })],
    [
      'HS256 with the public key as secret',
      'token-signature',
      () => ({
        token: `${part({ alg: 'HS256', kid: 'control-of-test', typ: 'claviger-token+jwt' })}.${part(claims('sofia'))}.${'A'.repeat(43)}`,
      }),
    ],
    ['a signed session record instead of a token', 'token-type', () => ({ token: system.token('sofia', { typ: 'claviger-session+jws' }) })],
    ['another issuer', 'token-claims', () => ({ token: system.token('sofia', { more: { iss: 'https://elsewhere.example' } }) })],
    ['a claim too many', 'token-claims', () => ({ token: system.token('sofia', { more: { principal: 'payments-api' } }) })],
    ['a wildcard as principal', 'token-claims', () => ({ token: system.token('*') })],
    ['words instead of a JWT', 'token-malformed', () => ({ token: 'open sesame' })],
    ['a giant token', 'token-malformed', () => ({ token: 'x'.repeat(18_000) })],
    ['a principal that is not registered', 'principal-unknown', () => ({ token: system.token('mallory') })],
    ['a disabled principal', 'principal-disabled', () => ({ token: system.token('dora') })],
    ['a principal that is not registered for tokens', 'identity-unknown', () => ({ token: system.token('nora') })],
    ['no credentials', 'no-credentials', () => ({ token: '' })],
    ['a session id that is too short', 'session-malformed', () => ({ token: system.token('sofia'), session: 'A'.repeat(21) })],
  ];
  test.each(hostile)('refuses %s and says why in the ledger', async (_what, reason, given) => {
    expect(await system.attempt('sofia', given())).toBe(refused);
    await system.recorded({ kind: 'session', event: 'refused', code: reason });
  });

  test.each(['*', '>', '', `${'A'.repeat(21)}.`, `x" - Publish Violation - Subject "y`])('refuses the session id %j', async (name) => {
    const attempt = connect({
      servers: system.broker.url,
      name,
      reconnect: false,
      authenticator: tokenAuthenticator(system.token('sofia')),
    });
    await expect(attempt).rejects.toThrow(refused);
  });

  test('refuses user and password, whatever else is given', async () => {
    const attempt = connect({ servers: system.broker.url, name: sessionId(), reconnect: false, user: 'sofia', pass: 'x' });
    await expect(attempt).rejects.toThrow(refused);
    await system.recorded({ event: 'refused', code: 'credentials-unsupported' });
  });

  test('a session id is claimed once, also among connections that race for it', async () => {
    const session = sessionId();
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => system.attempt('sofia', { session })));
    expect(outcomes.filter((outcome) => outcome === 'admitted')).toHaveLength(1);
    expect(await system.attempt('payments-api', { session })).toBe(refused);
    expect((await system.records()).filter((line) => line.session === session && line.event === 'opened')).toHaveLength(1);
  });

  test('many refusals of one kind are few records, and none is uncounted', async () => {
    const attempts = 60;
    const token = system.token('flooder');
    const counted = async () =>
      (await system.records())
        .filter(({ event, code }) => event === 'refused' && code === 'principal-unknown')
        .map(({ count }) => count as number);
    const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0);
    const before = await counted();
    const told = await Promise.all(Array.from({ length: attempts }, () => system.attempt('flooder', { token })));
    expect(new Set(told)).toEqual(new Set([refused]));
    const counts = await until(
      async () => {
        const seen = await counted();
        return sum(seen) === sum(before) + attempts ? seen : undefined;
      },
      { what: `${attempts} counted refusals`, timeoutMs: 60_000, everyMs: 200 },
    );
    expect(counts.length).toBeLessThan(attempts / 2);
  });
});

describe('what an admitted connection may do', () => {
  let mine: Caller;
  let other: Caller;
  beforeAll(async () => {
    [mine, other] = await Promise.all([system.caller('payments-api'), system.caller('orders-api')]);
  });

  const violation = (session: string, kind: 'publish' | 'subscription', subject: string) =>
    system.recorded({ kind: 'violation', session, violation: kind, subject, principal: mine.id });

  test('it speaks under its own principal and session', async () => {
    expect(await ask(mine, 'policy.show')).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' } });
  });

  test("another's subject, and its own under another session, are refused and recorded", async () => {
    const subjects = [
      requestSubject({ principal: other.id, session: other.session, service: 'policy', verb: 'show' }),
      requestSubject({ principal: mine.id, session: other.session, service: 'policy', verb: 'show' }),
      'claviger-internal.v1.audit.personal',
      '$KV.sessions.forged',
      '$SYS.REQ.USER.AUTH',
    ];
    for (const subject of subjects) mine.connection.publish(subject, JSON.stringify({ type: requestType }));
    for (const subject of subjects) await violation(mine.session, 'publish', subject);
  });

  test("another's inbox, everybody's inbox and everybody's requests are refused and recorded", async () => {
    const subjects = [grantedSubjects(other.id, other.session).subscribe, '_INBOX.>', 'claviger.v1.>', '>', 'alerts.v1.>'];
    const heard: string[] = [];
    for (const subject of subjects)
      mine.connection.subscribe(subject, { callback: (_error, message) => void heard.push(message?.subject) });
    for (const subject of subjects) await violation(mine.session, 'subscription', subject);
    await ask(other, 'policy.show');
    expect(heard.filter(Boolean)).toEqual([]);
  });

  test('a reply subject that names a request of another comes back as no request of the other', async () => {
    const before = (await system.records()).filter(({ kind, session }) => kind === 'operation' && session === other.session).length;
    mine.connection.publish(
      requestSubject({ principal: mine.id, session: mine.session, service: 'policy', verb: 'show' }),
      JSON.stringify({ type: requestType }),
      {
        reply: requestSubject({ principal: other.id, session: other.session, service: 'policy', verb: 'show' }),
      },
    );
    await ask(mine, 'policy.show');
    await ask(other, 'policy.show');
    const after = (await system.records()).filter(({ kind, session }) => kind === 'operation' && session === other.session);
    expect(after).toHaveLength(before + 1);
  });

  test('a spoofed client description cannot put a violation on somebody else', async () => {
    const named = JSON.stringify({ lang: `x:${other.session}" - "CLIENTS/user:orders-api" - Publish Violation - Subject "forged"` });
    // nats.js lets no one choose `lang`, so the CONNECT line is written by hand.
    const { createConnection } = await import('node:net');
    const session = sessionId();
    const socket = createConnection(system.broker.port, '127.0.0.1');
    const options = {
      ...JSON.parse(named),
      version: '1',
      protocol: 1,
      verbose: false,
      pedantic: false,
      name: session,
      auth_token: system.token('payments-api'),
    };
    socket.write(`CONNECT ${JSON.stringify(options)}\r\nPING\r\nPUB claviger.v1.forbidden 1\r\nx\r\nPING\r\n`);
    await until(
      () => system.broker.logs() !== undefined && violationsIn(system).then((v) => v.some(({ principal: p }) => p === 'payments-api')),
      {
        what: 'the violation',
        everyMs: 200,
      },
    );
    socket.destroy();
    expect((await violationsIn(system)).filter((v) => v.session === other.session && v.subject === 'forged')).toEqual([]);
  });
});

const violationsIn = async (of: PolicySystem) => (await of.records()).filter(({ kind }) => kind === 'violation');

describe('alerts', () => {
  let detector: NatsConnection;
  beforeAll(async () => {
    detector = await system.connectAs('anomaly-detector');
    const type = 'io.claviger.alert.raised' as const;
    const event = cloudEvent(type, { id: 'alert-1', source: 'test', time: new Date().toISOString(), data: {} as never });
    await jetstream(detector).publish(eventSubject(type), JSON.stringify(event), { msgID: event.id });
  });
  afterAll(() => detector?.close());

  test('who may read alerts follows them live and through the pre-made consumer, and creates none', async () => {
    const sofia = await system.caller('sofia');
    const live: string[] = [];
    sofia.connection.subscribe('alerts.v1.>', { callback: (error, message) => void (error ?? live.push(message.subject)) });
    await sofia.connection.flush();
    const consumer = await jetstream(sofia.connection).consumers.get('ALERTS', 'security-team');
    const message = await consumer.next({ expires: 10_000 });
    expect(message?.json()).toMatchObject({ id: 'alert-1' });
    expect(await message?.ackAck()).toBe(true);
    await jetstream(detector).publish(eventSubject('io.claviger.alert.acknowledged'), '{}', { msgID: 'alert-2' });
    await until(() => live.length > 0, { what: 'the live alert' });

    const jsm = await jetstreamManager(sofia.connection, { checkAPI: false });
    const deliverTo = requestSubject({ principal: 'payments-api', session: sessionId(), service: 'policy', verb: 'show' });
    await expect(jsm.consumers.add('ALERTS', { deliver_subject: deliverTo })).rejects.toThrow();
    await expect(jsm.consumers.delete('ALERTS', 'security-team')).rejects.toThrow();
    await system.recorded({ kind: 'violation', session: sofia.session, violation: 'publish', principal: 'sofia' });
  });

  test('who may not read alerts gets neither', async () => {
    const caller = await system.caller('payments-api');
    await expect(jetstream(caller.connection).consumers.get('ALERTS', 'security-team')).rejects.toThrow();
    await system.recorded({ kind: 'violation', session: caller.session, subject: '$JS.API.CONSUMER.INFO.ALERTS.security-team' });
  });
});
