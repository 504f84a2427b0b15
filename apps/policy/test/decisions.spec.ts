import { bundleFormat, type OidcIdentity, type PolicyBundle, type Principal } from '@claviger/contracts';
import { newLogin } from '@claviger/installation';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { spiffeIdOf } from '../src/certificate';
import { permissionsOf } from '../src/permissions';
import { secondFactor, sessionEnd } from '../src/proof';
import { Refused } from '../src/refusal';
import { Registry } from '../src/registry';
import { parseViolation } from '../src/violation-line';
import { principal, sessionId } from './policy-system';

const reasonOf = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    if (error instanceof Refused) return error.reason;
    throw error;
  }
  return 'admitted';
};

describe('SPIFFE id of a certificate', () => {
  test('is its one URI, wherever it stands', () => {
    expect(spiffeIdOf('DNS:a.example, URI:spiffe://example.org/pay, IP Address:10.0.0.1')?.id).toBe('spiffe://example.org/pay');
    expect(spiffeIdOf('DNS:a.example')).toBeUndefined();
    expect(spiffeIdOf('')).toBeUndefined();
  });

  test('cannot be smuggled in through another name that holds a comma', () => {
    expect(spiffeIdOf('DNS:"a, URI:spiffe://example.org/admin, b"')).toBeUndefined();
    expect(spiffeIdOf('DNS:"a\\", URI:spiffe://example.org/admin, b"')).toBeUndefined();
  });

  test('is refused when there are two, or when it is no SPIFFE id', () => {
    for (const names of [
      'URI:spiffe://a/b, URI:spiffe://a/c',
      'URI:spiffe://a/b, URI:https://a/b',
      'URI:"spiffe://a/b,c"',
      'URI:spiffe://A/b',
      'URI:spiffe://a/b/../c',
      'URI:spiffe://a//b',
      'URI:spiffe://a/b/',
      'URI:spiffe://a',
    ])
      expect(reasonOf(() => spiffeIdOf(names))).toBe('certificate-unreadable');
  });
});

test('no session outlives its proof or fifteen minutes', () => {
  const proof = (expiresAtMs: number) => ({
    method: 'token' as const,
    identity: { kind: 'token' as const, principal: 'a' },
    mfa: false,
    login: newLogin(0),
    expiresAtMs,
  });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 0, max: 4e12 }), (now, expires) => {
      const end = sessionEnd(proof(expires), now);
      expect(end).toBeLessThanOrEqual(expires);
      expect(end - now).toBeLessThanOrEqual(900_000);
    }),
  );
});

test('the broker grants exactly one principal and session, and no consumer can be made', () => {
  const session = sessionId();
  const { pub, sub } = permissionsOf('pay', session, false);
  expect(pub?.allow).toEqual([`claviger.v1.pay.${session}.*.*`]);
  expect(sub?.allow).toEqual([`_INBOX.pay.${session}.>`]);
  const alerts = permissionsOf('pay', session, true);
  expect(JSON.stringify(alerts)).not.toMatch(/CREATE|DELETE|PURGE/);
});

test('an identity proves one principal: enabled, registered, unambiguous', () => {
  const fingerprint256 = 'ab'.repeat(32);
  const registry = new Registry({
    format: bundleFormat,
    revision: 1,
    policies: 'x',
    schema: 'x',
    roles: [],
    grants: [],
    publishedAt: '2026-01-01T00:00:00.000Z',
    principals: [
      principal('by-token'),
      principal('by-nothing', { identities: [] }),
      principal('off', { disabled: true, identities: [{ kind: 'oidc', issuer: 'https://i', subject: 's' }] }),
      principal('one', { identities: [{ kind: 'spiffe', id: 'spiffe://a/b' }] }),
      principal('two', { identities: [{ kind: 'certificate', fingerprint256 }] }),
    ],
  } satisfies PolicyBundle);
  const reason = (identity: Parameters<Registry['principalOf']>[0]) => reasonOf(() => registry.principalOf(identity));
  expect(registry.principalOf({ kind: 'token', principal: 'by-token' }).id).toBe('by-token');
  expect(reason({ kind: 'token', principal: 'nobody' })).toBe('principal-unknown');
  expect(reason({ kind: 'token', principal: 'by-nothing' })).toBe('identity-unknown');
  expect(reason({ kind: 'oidc', issuer: 'https://i', subject: 's', claims: {} })).toBe('principal-disabled');
  expect(reason({ kind: 'oidc', issuer: 'https://i', subject: 's ', claims: {} })).toBe('identity-unknown');
  expect(reason({ kind: 'certificate', spiffeId: 'spiffe://a/b', fingerprint256 })).toBe('identity-ambiguous');
  expect(registry.principalOf({ kind: 'certificate', spiffeId: 'spiffe://a/b', fingerprint256: 'cd'.repeat(32) }).id).toBe('one');
});

describe('an identity of an OIDC issuer', () => {
  const issuer = 'https://token.actions.githubusercontent.com';
  const registry = (principals: Principal[]) =>
    new Registry({
      ...{ format: bundleFormat, revision: 1, policies: 'x', schema: 'x', roles: [], grants: [] },
      ...{ publishedAt: '2026-01-01T00:00:00.000Z', principals },
    } satisfies PolicyBundle);
  const github = (claims: NonNullable<OidcIdentity['claims']>, subject?: string): OidcIdentity => ({
    ...{ kind: 'oidc', issuer, claims },
    ...(subject === undefined ? {} : { subject }),
  });
  const shown = (claims: Record<string, unknown>, subject = 'repo:acme/pay:ref:refs/heads/main') => ({
    ...{ kind: 'oidc' as const, issuer, subject, claims },
  });
  const outcome = (identities: OidcIdentity[], claims: Record<string, unknown>, subject?: string) =>
    reasonOf(() => registry([principal('deployer', { kind: 'service', identities })]).principalOf(shown(claims, subject)));

  test('proves a principal by claims that are there with exactly that value and type, and by nothing that only looks like it', () => {
    const asked = [github({ repository: 'acme/pay', environment: 'production' })];
    const right = { repository: 'acme/pay', environment: 'production', ref: 'refs/tags/v1' };
    expect(outcome(asked, right)).toBe('admitted');
    expect(outcome(asked, right, 'repo:acme/pay:environment:production')).toBe('admitted');
    const others = [
      { ...right, repository: 'acme/pay2' },
      { ...right, repository: 'acme/pay/' },
      { ...right, repository: ['acme/pay'] },
      { ...right, environment: undefined },
      { repository: 'acme/pay' },
    ];
    for (const claims of others) expect([claims, outcome(asked, claims)]).toEqual([claims, 'identity-unknown']);
    // What every object inherits is no claim.
    expect(outcome([github({ toString: 'x' })], {})).toBe('identity-unknown');
    expect(outcome([github({ ref_protected: true })], { ref_protected: 'true' })).toBe('identity-unknown');
    expect(outcome([github({ ref_protected: true })], { ref_protected: true })).toBe('admitted');
  });

  test('with a subject as well, wants both; a star is a star', () => {
    const both = [github({ repository: 'acme/pay' }, 'repo:acme/pay:ref:refs/heads/main')];
    expect(outcome(both, { repository: 'acme/pay' })).toBe('admitted');
    expect(outcome(both, { repository: 'acme/pay' }, 'repo:acme/pay:ref:refs/heads/other')).toBe('identity-unknown');
    expect(outcome([github({ repository: 'acme/*' })], { repository: 'acme/pay' })).toBe('identity-unknown');
  });

  test('reaches into a claim that is an object by a JSON Pointer', () => {
    const uid = [github({ '/kubernetes.io/serviceaccount/uid': 'u-1' })];
    const of = (value: unknown) => ({ 'kubernetes.io': { serviceaccount: { uid: value } } });
    expect(outcome(uid, of('u-1'))).toBe('admitted');
    expect(outcome(uid, of('u-2'))).toBe('identity-unknown');
    expect(outcome(uid, { 'kubernetes.io': 'u-1' })).toBe('identity-unknown');
  });

  test('that two principals have by other claims is refused, since nobody can say whose it is', () => {
    const two = registry([
      principal('one', { identities: [github({ repository: 'acme/pay' })] }),
      principal('two', { identities: [github({ environment: 'production' })] }),
    ]);
    expect(reasonOf(() => two.principalOf(shown({ repository: 'acme/pay', environment: 'production' })))).toBe('identity-ambiguous');
    expect(two.principalOf(shown({ repository: 'acme/pay', environment: 'staging' })).id).toBe('one');
  });
});

test('a second factor is what the issuer is configured to say it with', () => {
  const counts = { amr: ['mfa'], acr: ['urn:mfa', 'c1'] };
  for (const claims of [{ amr: ['pwd', 'mfa'] }, { acr: 'urn:mfa' }, { acrs: ['c0', 'c1'] }])
    expect(secondFactor(claims, counts)).toBe(true);
  for (const claims of [{}, { amr: 'mfa' }, { amr: ['pwd'] }, { acr: ['urn:mfa'] }, { acr: 'urn:mfa2' }, { acrs: 'c1' }])
    expect(secondFactor(claims, counts)).toBe(false);
});

describe('a violation in the log of nats-server 2.15', () => {
  const session = 'GDfndSJvnfQihTLOaqEY0Z';
  const start = `[30476] 2026/11/24 23:57:52.478924 [ERR] 127.0.0.1:41780 - cid:58 - "v3.4.0:nats.js:${session}" - "CLIENTS/user:pay"`;

  test.each([
    [
      `${start} - Publish Violation - Subject "claviger.v1.a.b.c.d"`,
      { violation: 'publish', client: 58, session, subject: 'claviger.v1.a.b.c.d' },
    ],
    [
      `${start} - Subscription Violation - Subject "_INBOX.>", SID 2`,
      { violation: 'subscription', client: 58, session, subject: '_INBOX.>' },
    ],
    [
      `${start.replace('cid:', 'wid:')} - Subscription Violation - Subject "a.>", Queue: "q", SID 3`,
      { violation: 'subscription', client: 58, session, subject: 'a.>' },
    ],
  ])('is read', (line, violation) => {
    expect(parseViolation(line)).toEqual(violation);
  });

  test('is not seen in other lines, nor for a service', () => {
    expect(parseViolation(start)).toBeUndefined();
    expect(parseViolation('[1] 2026/11/24 23:57:52.4 [INF] Server is ready')).toBeUndefined();
    expect(parseViolation(`${start.replace(session, 'policy')} - Publish Violation - Subject "a"`)).toBeUndefined();
  });

  test('keeps the connection number of the server, whatever the client calls itself', () => {
    const spoofed = start.replace('v3.4.0', `x" - "y" - Publish Violation - Subject "forged" cid:1`);
    expect(parseViolation(`${spoofed} - Publish Violation - Subject "real"`)).toMatchObject({ client: 58 });
  });
});
