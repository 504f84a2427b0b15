import { bundleHash, Evaluator } from '@claviger/authz';
import {
  type ActivityQuestion,
  internalSubject,
  isPacked,
  type KeyView,
  type PolicyBundle,
  type Principal,
  packFields,
  sessionIn,
  unpackFields,
} from '@claviger/contracts';
import { recordTypes, signRecord } from '@claviger/messaging';
import { type Child, largeBundle, until } from '@claviger/testing';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { jetstream } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, type JWK, jwtVerify } from 'jose';
import { MongoClient } from 'mongodb';
import { ask, build, type Caller, PolicySystem, principal, TestKey } from './policy-system';

let system: PolicySystem;
let sofia: Caller;

const application = { kind: 'service', roles: ['application'] } as const;

beforeAll(async () => {
  await build();
  system = await PolicySystem.start({
    principals: [
      principal('sofia', { roles: ['security-officer'] }),
      principal('otto', { roles: ['operator'] }),
      principal('olaf', { roles: ['application-owner'] }),
      principal('heir', { roles: ['application-owner'] }),
      principal('payments-api', { ...application, roles: ['application'] }),
      principal('cert-only', { ...application, roles: ['application'], identities: [{ kind: 'spiffe', id: 'spiffe://example.org/x' }] }),
    ],
  });
  await system.startPolicy({ ACCESS_SWEEP_SECONDS: '1' });
  sofia = await system.caller('sofia', { token: system.token('sofia', { amr: ['mfa'] }) });
}, 120_000);

afterAll(() => system?.stop());

const bundleInForce = async (): Promise<PolicyBundle> =>
  ((await ask(sofia, 'policy.show')) as unknown as { result: { bundle: PolicyBundle } }).result.bundle;
const proposal = ({ revision: _r, publishedAt: _p, ...bundle }: PolicyBundle, change: Partial<PolicyBundle> = {}) => ({
  ...bundle,
  ...change,
});

describe('tokens', () => {
  test('a principal renews its own token with its own factors, and the new token admits', async () => {
    const { result } = (await ask(sofia, 'access.issue-token', { lifetimeSeconds: 60 })) as unknown as { result: { token: string } };
    expect(decodeJwt(result.token)).toMatchObject({ iss: 'claviger', sub: 'sofia', amr: ['mfa'] });
    const { exp = 0, iat = 0 } = decodeJwt(result.token);
    expect(exp - iat).toBe(60);
    const renewed = await system.caller('sofia', { token: result.token });
    expect(await ask(renewed, 'policy.show')).toHaveProperty('result');
    await renewed.connection.close();
  });

  test('without a second factor there is none in the next token', async () => {
    const caller = await system.caller('payments-api');
    const { result } = (await ask(caller, 'access.issue-token')) as unknown as { result: { token: string } };
    expect(decodeJwt(result.token).amr).toEqual([]);
  });

  test('a token for somebody else is a matter of policy, carries no factor, and the record names both', async () => {
    const answer = (await ask(sofia, 'access.issue-token', { principal: 'payments-api' })) as unknown as { result: { token: string } };
    const { jti, amr, sub } = decodeJwt(answer.result.token);
    expect({ amr, sub }).toEqual({ amr: [], sub: 'payments-api' });
    await system.recorded({ action: 'access:IssueToken', principal: 'sofia', reason: `token ${jti} for payments-api` });
    const otto = await system.caller('otto');
    expect(await ask(otto, 'access.issue-token', { principal: 'sofia' })).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' } });
  });

  test('nobody gets a token that would not admit', async () => {
    for (const id of ['cert-only', 'nobody-there'])
      expect(await ask(sofia, 'access.issue-token', { principal: id })).toMatchObject({ problem: { code: 'ERR_NOT_FOUND' } });
  });
});

describe('sessions', () => {
  test('are listed for those who may, by principal', async () => {
    const caller = await system.caller('payments-api');
    const answer = (await ask(sofia, 'access.list-sessions', { principal: 'payments-api' })) as unknown as {
      result: { sessions: { session: string; principal: string }[] };
    };
    expect(answer.result.sessions.map(({ session }) => session)).toContain(caller.session);
    expect(new Set(answer.result.sessions.map(({ principal: p }) => p))).toEqual(new Set(['payments-api']));
    expect(await ask(caller, 'access.list-sessions')).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' } });
  });

  test('a revoked session is refused by every holder, its connection is cut, its id stays used', async () => {
    const views = await system.views();
    const caller = await system.caller('payments-api');
    const closed = caller.connection.closed();
    expect(await ask(sofia, 'access.revoke-session', { session: caller.session, reason: 'stolen laptop' })).toMatchObject({
      result: { revoked: true },
    });
    await until(() => sessionIn(views.sessions.get(caller.session))?.state === 'revoked', { what: 'the tombstone to arrive' });
    await closed;
    expect(await system.attempt('payments-api', { session: caller.session })).toBe('Authorization Violation');
    await system.recorded({ kind: 'session', event: 'revoked', session: caller.session, by: 'sofia', detail: 'stolen laptop' });
    expect(await ask(sofia, 'access.revoke-session', { session: caller.session, reason: 'again' })).toMatchObject({
      result: { revoked: true },
    });
    const revoked = (await system.records()).filter(({ event, session }) => event === 'revoked' && session === caller.session);
    expect(revoked).toHaveLength(1);
    // Who wants it and why was durable before it was done.
    const ofSession = (await system.records()).filter(({ kind, session }) => kind === 'session' && session === caller.session);
    expect(ofSession.map(({ event }) => event).slice(0, 3)).toEqual(['opened', 'revoking', 'revoked']);
    expect(ofSession[1]).toMatchObject({ by: 'sofia', detail: 'stolen laptop' });
    views.stop();
  });

  test('an unknown session is not found', async () => {
    expect(await ask(sofia, 'access.revoke-session', { session: 'A'.repeat(22), reason: 'x' })).toMatchObject({
      problem: { code: 'ERR_NOT_FOUND' },
    });
  });
});

describe('why something is allowed or not', () => {
  const keyId = `k_${'e'.repeat(22)}`;
  const alias = 'alias/payments/cards';
  interface Explained {
    decision: string;
    bundle: { revision: number };
    question: Record<string, unknown>;
    policies: { id: string; summary?: string; controls: string[] }[];
    missing: Record<string, unknown>[];
    text: string;
  }
  const explain = async (caller: Caller, input: Record<string, unknown>) =>
    ((await ask(caller, 'policy.explain', input)) as unknown as { result: Explained }).result;

  beforeAll(async () => {
    const lifecycle = await system.connectAs('key-lifecycle');
    const bucket = await new Kvm(jetstream(lifecycle)).open('keys');
    const key: KeyView = {
      ...{ kind: 'key', id: keyId, revision: 7, keyId, name: 'payments/cards', algorithm: 'AES_256', usage: 'encrypt' },
      ...{ environment: 'production', classification: 'internal', owner: 'olaf', createdBy: 'otto', consumers: ['payments-api'], tags: {} },
      ...{ primaryVersion: 1, suspended: false, processingAllowed: true, versions: [{ version: 1, state: 'active' }] },
    };
    for (const view of [key, { kind: 'alias' as const, id: alias, revision: 1, alias, keyId }])
      await bucket.put(view.id, signRecord(recordTypes.keys, view, system.key));
    await lifecycle.close();
  });

  test('is told to a security officer of anybody: what decided, on which bundle, and what is missing, in data and in words; and recorded', async () => {
    const denied = await explain(sofia, { principal: 'otto', action: 'keys:Rotate', key: alias });
    expect(denied).toMatchObject({ decision: 'deny', question: { principal: 'otto', keyId, keyRevision: 7, mfa: false } });
    expect(denied.bundle.revision).toBe((await bundleInForce()).revision);
    expect(denied.policies).toMatchObject([{ id: 'production-needs-mfa', controls: expect.arrayContaining(['PCI-DSS-4.0.1:8.4.1']) }]);
    const withMfa = await explain(sofia, { principal: 'otto', action: 'keys:Rotate', key: keyId, mfa: true });
    expect(withMfa.missing).toContainEqual({ kind: 'role', role: 'key-administrator', policy: 'key-administrator-administers' });
    expect(withMfa.text).toContain('missing for key-administrator-administers: the role key-administrator');
    expect(await explain(sofia, { principal: 'payments-api', action: 'crypto:Decrypt', key: keyId })).toMatchObject({ decision: 'allow' });
    await system.recorded({
      action: 'policy:Explain',
      principal: 'sofia',
      keyId,
      alias,
      reason: 'may otto keys:Rotate?',
      outcome: 'success',
    });
  });

  test('is told to people of themselves, with the second factor that they have; to owners of their keys; to others not, nor whether there is a key', async () => {
    const [otto, olaf, api] = [await system.caller('otto'), await system.caller('olaf'), await system.caller('payments-api')];
    const own = await explain(otto, { action: 'policy:Publish' });
    expect(own).toMatchObject({ decision: 'deny', question: { principal: 'otto', mfa: false, method: 'token' } });
    expect(own.missing).toContainEqual({ kind: 'role', role: 'security-officer', policy: 'security-officer-governs' });
    await system.recorded({ action: 'policy:ExplainOwn', principal: 'otto', reason: 'may otto policy:Publish?' });
    expect(await explain(sofia, { action: 'policy:Publish' })).toMatchObject({ decision: 'allow', question: { mfa: true } });

    const about = { principal: 'payments-api', action: 'crypto:Decrypt' };
    expect(await explain(olaf, { ...about, key: keyId })).toMatchObject({ decision: 'allow' });
    await system.recorded({ action: 'policy:ExplainKey', principal: 'olaf', keyId });
    for (const key of [keyId, `k_${'f'.repeat(22)}`])
      expect(await ask(otto, 'policy.explain', { ...about, key })).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' } });
    expect(await ask(api, 'policy.explain', { action: 'crypto:Decrypt', key: keyId })).toMatchObject({
      problem: { code: 'ERR_ACCESS_DENIED' },
    });
    expect(await ask(sofia, 'policy.explain', { ...about, key: `k_${'f'.repeat(22)}` })).toMatchObject({
      problem: { code: 'ERR_NOT_FOUND' },
    });
    for (const wrong of [about, { action: 'policy:Publish', key: keyId }])
      expect(await ask(sofia, 'policy.explain', wrong)).toMatchObject({ problem: { code: 'ERR_MALFORMED_REQUEST' } });
  });

  test('a denial has the policies that forbade it in its record', async () => {
    const before = await bundleInForce();
    const more =
      '\n@id("otto-never-reads") @control("c") forbid (principal == Claviger::Principal::"otto", action == Claviger::Action::"policy:Read", resource);';
    const bundle = proposal(before, { policies: before.policies + more });
    const { result } = (await ask(sofia, 'policy.publish', { basedOn: before.revision, bundle, reason: 'one less' })) as unknown as {
      result: { revision: number };
    };
    const otto = await system.caller('otto');
    expect(await ask(otto, 'policy.show')).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' } });
    const record = await system.recorded({ action: 'policy:Read', principal: 'otto', session: otto.session, outcome: 'denied' });
    expect(record).toMatchObject({ policies: ['otto-never-reads'], revisions: { bundle: result.revision } });
    await ask(sofia, 'policy.publish', { basedOn: result.revision, bundle: proposal(before), reason: 'back' });
  });
});

describe('bundles', () => {
  test('a published bundle is in force for every holder, and whoever it disables is out', async () => {
    const views = await system.views();
    const caller = await system.caller('otto');
    const closed = caller.connection.closed();
    const before = await bundleInForce();
    const principals = before.principals.map((p) => (p.id === 'otto' ? { ...p, disabled: true, revision: 2 } : p));
    const answer = await ask(sofia, 'policy.publish', {
      basedOn: before.revision,
      bundle: proposal(before, { principals }),
      reason: 'otto left',
    });
    expect(answer).toMatchObject({
      result: { revision: before.revision + 1, principals: 6, policies: before.policies.match(/^\s*@id\(/gm)?.length },
    });
    await until(() => views.policy.get('bundle')?.revision === before.revision + 1, { what: 'the bundle to arrive' });
    await closed;
    expect(await system.attempt('otto')).toBe('Authorization Violation');
    await system.recorded({ kind: 'session', event: 'revoked', session: caller.session, by: 'policy' });
    expect(await bundleInForce()).toMatchObject({ revision: before.revision + 1 });
    views.stop();
  });

  test('two who publish on the same revision do not overwrite each other', async () => {
    const before = await bundleInForce();
    const publish = (reason: string) => ask(sofia, 'policy.publish', { basedOn: before.revision, bundle: proposal(before), reason });
    const answers = await Promise.all([publish('one'), publish('two'), publish('three')]);
    expect(answers.filter((answer) => 'result' in answer)).toHaveLength(1);
    for (const { problem } of answers) if (problem) expect(problem.code).toBe('ERR_CONFLICT');
    expect((await bundleInForce()).revision).toBe(before.revision + 1);
  });

  test('what does not validate is not stored, and the answer says what and where', async () => {
    const before = await bundleInForce();
    const bundle = proposal(before, {
      policies: `${before.policies}\npermit (principal, action, resource) when { principal.shoeSize > 40 };`,
    });
    const { problem } = await ask(sofia, 'policy.publish', { basedOn: before.revision, bundle, reason: 'oops' });
    expect(problem).toMatchObject({ code: 'ERR_POLICY_INVALID' });
    expect(problem?.detail).toMatch(/polic/);
    expect((await bundleInForce()).revision).toBe(before.revision);
  });

  test('a bundle by which somebody would hold two roles that exclude each other is refused as a whole, with who and by which ways', async () => {
    const before = await bundleInForce();
    const groups = [
      { id: 'apps', tenant: 'acme', members: ['group:acme/night'], roles: ['application'], revision: 1 },
      { id: 'night', tenant: 'acme', members: ['sofia'], roles: [], revision: 1 },
    ];
    const bundle = proposal(before, { groups });
    const { problem } = await ask(sofia, 'policy.publish', { basedOn: before.revision, bundle, reason: 'a night shift' });
    expect(problem).toMatchObject({ code: 'ERR_SEPARATION_OF_DUTIES' });
    expect(problem?.detail).toMatch(
      /sofia would hold security-officer \(by its own record\) and application \(by group acme\/night in acme\/apps\)/,
    );
    expect((await bundleInForce()).revision).toBe(before.revision);
  });

  test('who may not publish does not, and is recorded with session, address and bundle', async () => {
    const caller = await system.caller('payments-api');
    const before = await bundleInForce();
    const answer = await ask(caller, 'policy.publish', { basedOn: before.revision, bundle: proposal(before), reason: 'let me in' });
    expect(answer).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' } });
    const record = await system.recorded({ action: 'policy:Publish', session: caller.session, outcome: 'denied' });
    expect(record).toMatchObject({ principal: 'payments-api', mfa: false, revisions: { session: 1, bundle: before.revision } });
    expect(record.ip).toMatch(/^[A-Za-z0-9_-]{43}$/);
  });
});

test('somebody who leaves is disabled, holds nothing, and is out; doing it twice changes nothing, and the last officer stays', async () => {
  const before = await bundleInForce();
  const groups = [{ id: 'owners', tenant: 'acme', members: ['olaf', 'heir'], roles: ['operator'], revision: 1 }];
  const grants = [{ id: 'nights', principal: 'olaf', role: 'operator', revision: 1 }];
  await ask(sofia, 'policy.publish', { basedOn: before.revision, bundle: proposal(before, { groups, grants }), reason: 'nights' });
  await until(async () => (await bundleInForce()).grants.length === 1, { what: 'the grant to be in force' });
  const caller = await system.caller('olaf');
  const closed = caller.connection.closed();
  const asked = { principal: 'olaf', to: 'heir', reason: 'new job' };
  expect(await ask(await system.caller('heir'), 'access.offboard', asked)).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' } });
  expect(await ask(sofia, 'access.offboard', { ...asked, to: 'payments-api' })).toMatchObject({ problem: { code: 'ERR_NOT_FOUND' } });
  expect(await ask(sofia, 'access.offboard', asked)).toMatchObject({
    result: { changed: true, roles: ['application-owner'], groups: ['acme/owners'], grants: ['nights'], revision: before.revision + 2 },
  });
  await closed;
  expect(await system.attempt('olaf')).toBe('Authorization Violation');
  await until(async () => (await bundleInForce()).revision === before.revision + 2, { what: 'the bundle to be in force' });
  const after = await bundleInForce();
  expect(after.principals.find(({ id }) => id === 'olaf')).toMatchObject({ disabled: true, roles: [], revision: 3 });
  expect([after.groups?.[0]?.members, after.grants]).toEqual([['heir'], []]);
  const record = await system.recorded({ action: 'access:Offboard', principal: 'sofia', outcome: 'success' });
  expect(record.reason).toMatch(
    /^olaf leaves: new job; application-owner \(its own record\); operator \(group acme\/owners\); operator \(grant nights/,
  );
  expect(await ask(sofia, 'access.offboard', asked)).toMatchObject({
    result: { changed: false, roles: [], revision: before.revision + 2 },
  });
  expect(await ask(sofia, 'access.offboard', { ...asked, principal: 'nobody' })).toMatchObject({ problem: { code: 'ERR_NOT_FOUND' } });
  expect(await ask(sofia, 'access.offboard', { ...asked, principal: 'sofia' })).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' } });
});

test('a review is started, decided by others, and completed as one publication, each thing taken away on record; a changed document is refused', async () => {
  const before = await bundleInForce();
  const groups = [{ id: 'reviewers', tenant: 'acme', members: ['heir'], roles: [], revision: 1 }];
  await ask(sofia, 'policy.publish', { basedOn: before.revision, bundle: proposal(before, { groups }), reason: 'reviewers' });
  await until(async () => (await bundleInForce()).groups?.length === 1 && (await bundleInForce()).groups?.[0]?.id === 'reviewers', {
    what: 'the group',
  });
  const dueAt = new Date(Date.now() + 2_000).toISOString();
  const asked = { name: 'yearly', scope: { all: true }, reviewers: ['sofia', 'group:acme/reviewers'], dueAt, reason: 'as every year' };
  const heir = await system.caller('heir');
  expect(await ask(heir, 'access.start-review', asked)).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' } });
  const started = (await ask(sofia, 'access.start-review', asked)) as unknown as { result: { reviewId: string; items: number } };
  const { reviewId, items } = started.result;
  const decide = (caller: Caller, assignment: string, decision: string) =>
    ask(caller, 'access.decide-review', { reviewId, decisions: [{ assignment, decision, reason: 'looked at' }] });
  const own = 'role:heir:application-owner';
  expect(await decide(heir, own, 'keep')).toMatchObject({ problem: { code: 'ERR_SELF_REVIEW' } });
  expect(await decide(heir, 'role:sofia:security-officer', 'keep')).toMatchObject({ result: { kept: 1 } });
  expect(await decide(sofia, own, 'revoke')).toMatchObject({ result: { kept: 1, revoked: 1, undecided: items - 2 } });
  // Nobody here keeps a ledger: when it was last used is unknown, which is not never.
  const shown = (await ask(sofia, 'access.show-review', { reviewId, undecided: true, limit: 1 })) as unknown as {
    result: { items: { lastUse: object; gone: boolean }[]; next: number };
  };
  expect(shown.result).toMatchObject({ items: [{ lastUse: { known: 'unknown' }, gone: false }], next: expect.any(Number) });
  await system.recorded({ action: 'access:ReviewOverdue', principal: 'policy' });
  expect(await ask(sofia, 'access.list-reviews', { state: 'open' })).toMatchObject({ result: { reviews: [{ reviewId, overdue: true }] } });
  expect(await ask(sofia, 'access.complete-review', { reviewId, reason: 'done' })).toMatchObject({
    problem: { code: 'ERR_REVIEW_INCOMPLETE' },
  });

  const store = new MongoClient(system.storeUrl);
  const documents = store.db(system.database).collection<{ _id: string; signed: string }>('reviews');
  const { signed } = (await documents.findOne({ _id: reviewId }))!;
  const [head, body, signature] = signed.split('.') as [string, string, string];
  const forged = Buffer.from(Buffer.from(body, 'base64url').toString().replace('"revoke"', '"keep"')).toString('base64url');
  await documents.updateOne({ _id: reviewId }, { $set: { signed: `${head}.${forged}.${signature}` } });
  const complete = () => ask(sofia, 'access.complete-review', { reviewId, undecided: 'keep', reason: 'done' });
  expect(await complete()).toMatchObject({ problem: { code: 'ERR_STORE_UNAVAILABLE' } });
  await system.recorded({ kind: 'refused-state', bucket: 'store', key: reviewId, reason: 'tampered-document' });
  await documents.updateOne({ _id: reviewId }, { $set: { signed } });
  await store.close();

  expect(await complete()).toMatchObject({
    result: { state: 'completed', revoked: 1, undecided: 0, completed: { by: 'sofia', taken: 1 } },
  });
  await system.recorded({ action: 'access:Revoke', principal: 'sofia', reason: `review ${reviewId}: ${own} taken away; sofia: looked at` });
  await until(async () => (await bundleInForce()).principals.find(({ id }) => id === 'heir')?.roles.length === 0, {
    what: 'the role to be gone',
  });
  expect(await complete()).toMatchObject({ problem: { code: 'ERR_REVIEW_CLOSED' } });
});

describe('keys that sign tokens', () => {
  const jwks = async () => (await ask(sofia, 'access.jwks')) as unknown as { result: { keys: JWK[]; signing: string } };
  const overHttp = async () => {
    const [, port] = await (system.children[0] as Child).waitForLog(/health on port (\d+)/);
    return fetch(`http://127.0.0.1:${port}/jwks`);
  };
  const issued = async (caller: Caller, input: Record<string, unknown> = {}) =>
    ((await ask(caller, 'access.issue-token', input)) as unknown as { result: { token: string } }).result.token;

  test('are those of the JWKS, which anybody reads by message or over HTTP, and no control key', async () => {
    const caller = await system.caller('payments-api');
    const { keys, signing } = (await jwks()).result;
    const response = await overHttp();
    expect(response.headers.get('cache-control')).toMatch(/^public, max-age=\d+$/);
    expect(await response.json()).toEqual({ keys });
    expect(await ask(caller, 'access.jwks')).toHaveProperty('result');
    const token = await issued(caller);
    expect(decodeProtectedHeader(token)).toEqual({ alg: 'ES256', kid: signing, typ: 'claviger-token+jwt' });
    await jwtVerify(token, createLocalJWKSet({ keys }), { issuer: 'claviger', typ: 'claviger-token+jwt' });
    expect(Object.keys(system.trust.control)).not.toContain(signing);
    await system.recorded({ action: 'access:RotateSigningKey', principal: 'policy', session: 'schedule' });
  });

  test('a token for another audience tells it who the caller is, and admits nobody here; nobody gets one of somebody else', async () => {
    const token = await issued(sofia, { audience: 'https://vault.example' });
    const { payload } = await jwtVerify(token, createLocalJWKSet((await (await overHttp()).json()) as JSONWebKeySet), {
      audience: 'https://vault.example',
    });
    expect(payload).toMatchObject({ iss: 'claviger', sub: 'sofia', amr: ['mfa'] });
    expect(await system.attempt('sofia', { token })).toBe('Authorization Violation');
    const others = await ask(sofia, 'access.issue-token', { principal: 'payments-api', audience: 'https://vault.example' });
    expect(others).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' } });
  });

  test('are rotated by those who may: the new one is published at once, and the one before signs on until everybody knows it', async () => {
    const caller = await system.caller('payments-api');
    expect(await ask(caller, 'access.rotate-signing-key', { reason: 'mine' })).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' } });
    const before = (await jwks()).result.signing;
    const answer = (await ask(sofia, 'access.rotate-signing-key', { reason: 'yearly' })) as unknown as { result: { kid: string } };
    const { keys, signing } = await until(
      async () => {
        const { result } = await jwks();
        return result.keys.some(({ kid }) => kid === answer.result.kid) && result;
      },
      { what: 'the new key to be published' },
    );
    expect({ keys: keys.map(({ kid }) => kid), signing }).toEqual({ keys: [before, answer.result.kid], signing: before });
    await system.recorded({ action: 'access:RotateSigningKey', principal: 'sofia', outcome: 'success' });
  });

  test('once compromised sign nothing that counts: tokens are refused, what came from them ends, and whoever asked hears so', async () => {
    const caller = await system.caller('payments-api');
    const token = await issued(caller);
    const cut = caller.connection.closed();
    const asker = await system.caller('sofia', { token: system.token('sofia', { amr: ['mfa'] }) });
    const { result } = (await ask(asker, 'access.rotate-signing-key', { reason: 'leaked', compromised: true })) as unknown as {
      result: { kid: string; withdrawn: string[]; sessionsEnded: number };
    };
    expect(result.withdrawn).toContain(decodeProtectedHeader(token).kid);
    expect(result.sessionsEnded).toBeGreaterThanOrEqual(2);
    await cut;
    await asker.connection.closed();
    expect(await system.attempt('payments-api', { token })).toBe('Authorization Violation');
    await system.recorded({ event: 'refused', code: 'token-signature' });
    sofia = await system.caller('sofia', { token: system.token('sofia', { amr: ['mfa'] }) });
    expect(decodeProtectedHeader(await issued(sofia)).kid).toBe(result.kid);
  });
});

describe('service accounts', () => {
  type Listed = { result: { serviceAccounts: { principal: string; owner?: string; ownership: string }[] } };
  const list = async (input: Record<string, unknown> = {}) =>
    ((await ask(sofia, 'access.list-service-accounts', input)) as unknown as Listed).result.serviceAccounts;

  test('are listed with who answers for them, and a new one needs somebody', async () => {
    expect(await list()).toEqual(
      ['payments-api', 'cert-only'].map((id) => expect.objectContaining({ principal: id, ownership: 'none', roles: ['application'] })),
    );
    const before = await bundleInForce();
    const robot = (owner?: string) => principal('robot', { ...application, roles: ['application'], ...(owner ? { owner } : {}) });
    const publish = (principals: Principal[]) =>
      ask(sofia, 'policy.publish', { basedOn: before.revision, bundle: proposal(before, { principals }), reason: 'a robot' });
    for (const owner of [undefined, 'otto', 'payments-api', 'nobody'])
      expect(await publish([...before.principals, robot(owner)])).toMatchObject({ problem: { code: 'ERR_POLICY_INVALID' } });
    expect(await publish([...before.principals, robot('sofia')])).toHaveProperty('result');
    expect((await list({ owner: 'sofia' })).map(({ principal: id }) => id)).toEqual(['robot']);
    expect((await list({ unowned: true })).map(({ principal: id }) => id)).toEqual(['payments-api', 'cert-only']);
  });
});

test('revoking all sessions of a principal ends also what it authenticated with and never used, and nobody else', async () => {
  const unused = ((await ask(sofia, 'access.issue-token', { principal: 'payments-api' })) as unknown as { result: { token: string } })
    .result.token;
  const callers = await Promise.all([system.caller('payments-api'), system.caller('payments-api')]);
  const cut = Promise.all(callers.map(({ connection }) => connection.closed()));
  expect(await ask(sofia, 'access.revoke-sessions', { principal: 'payments-api', reason: 'left' })).toMatchObject({
    result: { principal: 'payments-api' },
  });
  await cut;
  expect(await system.attempt('payments-api', { token: unused })).toBe('Authorization Violation');
  await system.recorded({ event: 'refused', principal: 'payments-api', code: 'login-revoked' });
  for (const { session } of callers) await system.recorded({ event: 'revoked', session, by: 'sofia', detail: 'left' });
  expect(await ask(sofia, 'policy.show')).toHaveProperty('result');
  const later = async () => (await system.attempt('payments-api', { token: system.tokenFromAhead('payments-api') })) === 'admitted';
  await until(later, { what: 'a later authentication to count', everyMs: 200 });
  expect(await ask(sofia, 'access.revoke-sessions', { principal: 'stranger', reason: 'x' })).toMatchObject({
    problem: { code: 'ERR_NOT_FOUND' },
  });
});

test('every reply has exactly one record, whatever was asked', async () => {
  const caller = await system.caller('payments-api', { token: system.tokenFromAhead('payments-api') });
  const asked: [string, Record<string, unknown>][] = [
    ['policy.show', {}],
    ['policy.nonsense', {}],
    ['policy.show', { unknown: 'field' }],
    ['access.issue-token', {}],
    ['access.issue-token', { principal: 'sofia' }],
    ['access.list-sessions', {}],
    ['access.revoke-session', { session: caller.session, reason: 'mine' }],
  ];
  const replies = await Promise.all(asked.map(([operation, input]) => ask(caller, operation, input)));
  for (const reply of replies) expect(reply).toHaveProperty('receipt');
  const records = (await system.records()).filter(({ kind, session }) => kind === 'operation' && session === caller.session);
  expect(records).toHaveLength(asked.length);
});

test('access that nobody uses is taken away once it was told for long enough; the last security officer keeps hers, and what is forged moves nothing', async () => {
  const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString();
  const old = { since: day(100), noticedAt: day(40) };
  const fresh = { since: day(0) };
  const sealed = (id: string, watched: object, key = system.key) => ({
    ...{ _id: id, revision: 1, at: day(1), dueAt: day(1), claimedUntil: null, outbox: [], owed: [] },
    signed: signRecord('claviger-access-standing+jws', { id, revision: 1, watched, checkedAt: day(1) }, key),
  });
  const store = new MongoClient(system.storeUrl);
  const documents = store.db(system.database).collection<{ _id: string }>('standings');
  await documents.insertMany([
    sealed('payments-api', { login: fresh, 'role:payments-api:application': old }),
    sealed('cert-only', { login: old }),
    sealed('sofia', { login: old }),
    // Whoever can write to the store only.
    sealed('heir', { login: old }, new TestKey(system.key.kid)),
  ]);
  // The ledger: of nobody but payments-api is there a session, of nothing a use.
  const audit = await system.connectAs('audit');
  audit.subscribe(internalSubject('audit', 'last-activities'), {
    callback: (_error, message) => {
      const { questions } = message.json<{ questions: ActivityQuestion[] }>();
      const answers = questions.map(({ principal: id, uses }) => ({
        principal: id,
        session: id === 'payments-api' ? { known: 'used', at: day(0), index: 1 } : { known: 'unused' },
        uses: uses.map((use) => ({ id: use.id, activity: { known: 'unused' } })),
      }));
      message.respond(JSON.stringify({ result: { answers } }));
    },
  });
  await audit.flush();
  const before = await bundleInForce();
  const staleness = { noticeDays: 60, removeAfterDays: 90, keep: [{ role: 'security-officer', atLeast: 1 }] };
  await ask(sofia, 'policy.publish', { basedOn: before.revision, bundle: proposal(before, { staleness }), reason: 'nothing unused' });
  const taken = await system.recorded({
    action: 'access:RemoveUnused',
    principal: 'policy',
    reason: `role:payments-api:application (its own record) was not used since ${old.since}`,
  });
  expect(taken).toMatchObject({ session: 'schedule', outcome: 'success' });
  await system.recorded({ action: 'access:RemoveUnused', reason: `cert-only did not come since ${old.since}` });
  await system.recorded({
    action: 'access:KeepLastHolder',
    reason: `sofia did not come since ${old.since}; it stays, since 0 people would be left with the role security-officer, and 1 must be`,
  });
  await system.recorded({ kind: 'refused-state', bucket: 'store', key: 'heir', reason: 'tampered-document' });
  const after = await until(
    async () => (await bundleInForce()).principals.find(({ id, disabled }) => id === 'cert-only' && disabled) && bundleInForce(),
    {
      what: 'the bundle to be in force',
    },
  );
  const of = (id: string) => (after as PolicyBundle).principals.find((one) => one.id === id);
  expect([of('payments-api')?.roles, of('payments-api')?.disabled, of('sofia')?.disabled, of('heir')?.disabled]).toEqual([
    [],
    false,
    false,
    false,
  ]);
  const listed = await until(
    async () => {
      const { result } = (await ask(sofia, 'access.list-unused')) as unknown as {
        result: { unused: { principal: string; kept: boolean }[] };
      };
      return result.unused.some(({ kept }) => kept) ? result.unused : undefined;
    },
    { what: 'what stays to be listed' },
  );
  expect(listed).toEqual([expect.objectContaining({ principal: 'sofia', since: old.since, kept: true })]);
  const { staleness: _, ...without } = proposal(await bundleInForce());
  await ask(sofia, 'policy.publish', { basedOn: (await bundleInForce()).revision, bundle: without, reason: 'enough' });
  // A part that is gone is gone from the store as well, and nobody takes that for an edit.
  expect(await bundleInForce()).not.toHaveProperty('staleness');
  expect(await store.db(system.database).collection<{ _id: string }>('bundles').findOne({ _id: 'bundle' })).not.toHaveProperty('staleness');
  await Promise.all([audit.close(), store.close()]);
});

test('1,000 policies and 10,000 principals are published, stored, shown and held by everybody, packed where a message would be too long', async () => {
  const before = await bundleInForce();
  const large = largeBundle(before, { policies: 1_000, principals: 9_990 });
  const { policies, schema, roles, principals } = large;
  // Those of roles would give people what their own role excludes.
  const grants = large.grants.filter((grant) => !('role' in grant));
  const next = proposal(before, { policies, schema, roles, principals: [...before.principals, ...principals], grants });
  const sent = packFields({ basedOn: before.revision, bundle: next, reason: 'everybody' }, ['bundle']);
  expect(isPacked(sent.bundle)).toBe(true);
  const published = await ask(sofia, 'policy.publish', sent);
  expect(published).toMatchObject({ result: { revision: before.revision + 1, principals: next.principals.length, policies: 1_000 } });

  const { result } = await ask(sofia, 'policy.show');
  expect(isPacked((result as unknown as { bundle: unknown }).bundle)).toBe(true);
  const { bundle, hash } = unpackFields(result, ['bundle']) as { bundle: PolicyBundle; hash: string };
  expect({ ...proposal(bundle) }).toEqual(next);
  expect(hash).toBe(bundleHash(bundle));

  const views = await system.views();
  const view = views.policy.get('bundle');
  expect(view).toMatchObject({ revision: bundle.revision, hash });
  expect(isPacked(view?.bundle)).toBe(true);
  expect(new Evaluator().load(view?.bundle)).toEqual({ ok: true, revision: bundle.revision, hash });
  views.stop();

  // Whoever may not publish costs nothing more: it is refused before anything is inflated, and this could not be.
  const api = await system.caller('payments-api', { token: system.tokenFromAhead('payments-api') });
  const nothing = { deflated: 'AAAA', bytes: 8_000_000 };
  for (const [operation, packed] of [
    ['policy.publish', { basedOn: bundle.revision, reason: 'bomb', bundle: nothing }],
    ['changes.show', { change: `ch_${'A'.repeat(22)}`, input: nothing }],
  ] as const)
    expect(await ask(api, operation, packed)).toMatchObject({ problem: { code: 'ERR_ACCESS_DENIED' }, receipt: {} });
  const refused = await system.recorded({ action: 'policy:Publish', principal: 'payments-api', session: api.session });
  expect(refused).toMatchObject({ outcome: 'denied', mfa: false, revisions: { bundle: bundle.revision } });

  // And back, by a bundle that travels as it is.
  const small = await ask(sofia, 'policy.publish', { basedOn: bundle.revision, bundle: proposal(before), reason: 'back' });
  expect(small).toMatchObject({ result: { revision: bundle.revision + 1 } });
  const { deflated } = sent.bundle as { deflated: string };
  for (const packed of [
    { deflated, bytes: 100 },
    { deflated: deflated.slice(1), bytes: 100_000 },
  ])
    expect(await ask(sofia, 'policy.publish', { basedOn: bundle.revision + 1, bundle: packed, reason: 'bomb' })).toMatchObject({
      problem: { code: 'ERR_MALFORMED_REQUEST' },
    });
}, 120_000);
