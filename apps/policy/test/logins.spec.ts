import { randomBytes } from 'node:crypto';
import { type SessionsView, type SessionView, sessionIn } from '@claviger/contracts';
import { importTrustedKeys, KvOwner, recordTypes, revisionReader } from '@claviger/messaging';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { ask, build, type Caller, PolicySystem, principal, sessionId } from './policy-system';

let system: PolicySystem;
let sofia: Caller;
const refused = 'Authorization Violation';
const maxAgeSeconds = 43_200;

beforeAll(async () => {
  await build();
  system = await PolicySystem.start({
    principals: [principal('sofia', { roles: ['security-officer'] }), principal('eve', { kind: 'service', roles: ['application'] })],
  });
  await system.startPolicy();
  sofia = await system.caller('sofia');
}, 240_000);
afterAll(() => system?.stop());

const revoke = (session: string, reason = 'stolen laptop') => ask(sofia, 'access.revoke-session', { session, reason });
const renewed = async (caller: Caller) =>
  ((await ask(caller, 'access.issue-token')) as unknown as { result: { token: string } }).result.token;

test('revoking one session ends all that came from its authentication: sessions, the token in hand, tokens that it renewed to', async () => {
  const token = system.token('eve');
  const first = await system.caller('eve', { token });
  const next = await renewed(first);
  const second = await system.caller('eve', { token: next });
  expect(decodeJwt(next)).toMatchObject({ chain: decodeJwt(token).chain, auth_time: decodeJwt(token).auth_time });
  const stranger = await system.caller('eve');
  const closed = Promise.all([first.connection.closed(), second.connection.closed()]);

  expect(await revoke(second.session)).toMatchObject({ result: { revoked: true } });
  await closed;
  for (const inHand of [token, next]) expect(await system.attempt('eve', { token: inHand })).toBe(refused);
  await system.recorded({ kind: 'session', event: 'refused', principal: 'eve', code: 'login-revoked' });
  for (const { session } of [first, second])
    expect(await system.recorded({ kind: 'session', event: 'revoked', session })).toMatchObject({
      by: 'sofia',
      detail: 'stolen laptop',
      chain: decodeJwt(token).chain,
    });
  // Another authentication of the same principal is another chain.
  expect(await ask(stranger, 'access.issue-token')).toHaveProperty('result');
  expect(await system.attempt('eve')).toBe('admitted');
});

test('every holder of the bucket learns of it as of a revoked session, and a replica that starts later refuses too', async () => {
  const token = system.token('eve');
  const eve = await system.caller('eve', { token });
  await revoke(eve.session);
  const views = await system.views();
  expect(views.sessions.get(`chain.${decodeJwt(token).chain as string}`)).toMatchObject({ kind: 'revoked-chain', by: 'sofia' });
  views.stop();
  const [before] = system.children;
  await before?.stop();
  await system.startPolicy();
  expect(await system.attempt('eve', { token })).toBe(refused);
  sofia = await system.caller('sofia');
});

test('a session that another replica admitted before it heard of the revocation ends when the two records meet', async () => {
  const token = system.token('eve');
  const eve = await system.caller('eve', { token });
  await revoke(eve.session, 'two at once');
  const broker = await system.connectAs('policy');
  const trusted = importTrustedKeys(system.trust.control);
  const owner = new KvOwner<SessionsView>(broker, 'sessions', recordTypes.sessions, system.key, revisionReader('sessions', trusted));
  await owner.start();
  const id = sessionId();
  const late: SessionView = {
    kind: 'session',
    id,
    revision: 1,
    session: id,
    principal: 'eve',
    method: 'token',
    mfa: false,
    authTime: new Date((decodeJwt(token).auth_time as number) * 1_000).toISOString(),
    chain: decodeJwt(token).chain as string,
    ip: 'c'.repeat(43),
    issuedAt: new Date().toISOString(),
    expiresAt: new Date(Date.now() + 600_000).toISOString(),
    state: 'active',
  };
  expect(await owner.claim(late, 600)).toBe(true);
  const views = await system.views();
  await until(() => sessionIn(views.sessions.get(id))?.state === 'revoked', { what: 'the late session to end' });
  expect(await system.recorded({ kind: 'session', event: 'revoked', session: id })).toMatchObject({ by: 'sofia', detail: 'two at once' });
  views.stop();
  owner.stop();
  await broker.close();
});

test('an authentication has a last day: sessions and tokens end with it, and then it admits nobody', async () => {
  const chain = randomBytes(32).toString('base64url');
  const aged = (secondsLeft: number) => ({ auth_time: Math.floor(Date.now() / 1_000) - maxAgeSeconds + secondsLeft, chain });
  const more = aged(120);
  const caller = await system.caller('eve', { token: system.token('eve', { more }) });
  const endMs = (more.auth_time + maxAgeSeconds) * 1_000;
  expect((decodeJwt(await renewed(caller)).exp as number) * 1_000).toBeLessThanOrEqual(endMs);
  const { result } = (await ask(sofia, 'access.list-sessions', { principal: 'eve' })) as unknown as { result: { sessions: SessionView[] } };
  const listed = result.sessions.find(({ session }) => session === caller.session);
  expect(listed).toMatchObject({ chain, authTime: new Date(more.auth_time * 1_000).toISOString() });
  expect(Date.parse(listed?.expiresAt as string)).toBe(endMs);
  expect(await system.attempt('eve', { token: system.token('eve', { more: aged(-1) }) })).toBe(refused);
  await system.recorded({ kind: 'session', event: 'refused', principal: 'eve', code: 'login-too-old' });
});
