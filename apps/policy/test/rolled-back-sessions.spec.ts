import { sessionIn } from '@claviger/contracts';
import { type Child, until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstream } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { ask, build, PolicySystem, principal } from './policy-system';

let system: PolicySystem;
let policy: Child;

beforeAll(async () => {
  await build();
  system = await PolicySystem.start({ principals: [principal('sofia', { roles: ['security-officer'] }), principal('eve')] });
  policy = await system.startPolicy();
}, 240_000);
afterAll(() => system?.stop());

test('an old signed record put back over a revocation, while nobody watched, opens nothing', async () => {
  const sofia = await system.caller('sofia');
  const eve = await system.caller('eve');
  const broker = await system.connectAs('policy');
  const kv = await new Kvm(jetstream(broker)).open('sessions');
  const whileActive = (await kv.get(eve.session))?.string() as string;
  await ask(sofia, 'access.revoke-session', { session: eve.session, reason: 'drill' });
  const before = system.token('eve');
  const views = await system.views();
  expect(sessionIn(views.sessions.get(eve.session))?.state).toBe('revoked');
  await policy.stop();

  await kv.put(eve.session, whileActive);
  policy = await system.startPolicy();
  await policy.waitForLog(/does not add up to its mark; every session in it is revoked/);
  await until(async () => (await kv.get(eve.session))?.string() !== whileActive, { what: 'the revocation to be back' });
  const afresh = await system.views();
  expect(afresh.sessions.get(eve.session)).toMatchObject({ state: 'revoked' });
  expect(afresh.sessions.get(sofia.session)).toMatchObject({ state: 'revoked' });
  // Whoever asks why a session ended finds it in the ledger.
  for (const { session } of [eve, sofia])
    expect(await system.recorded({ kind: 'session', event: 'revoked', session, by: 'policy' })).toMatchObject({
      detail: expect.stringContaining('does not add up to its mark'),
    });
  // What else was lost nobody knows: what was authenticated before counts no more, and callers authenticate anew.
  expect(await system.attempt('eve', { token: before })).toBe('Authorization Violation');
  await system.recorded({ kind: 'session', event: 'refused', principal: 'eve', code: 'login-forgotten' });
  const later = async () => (await system.attempt('sofia', { token: system.tokenFromAhead('sofia') })) === 'admitted';
  await until(later, { what: 'a later authentication to count', everyMs: 200 });
  await broker.close();
});
