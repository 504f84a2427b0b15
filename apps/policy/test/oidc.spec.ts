import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sessionIn } from '@claviger/contracts';
import { type Child, freePort, startChild, temporaryFolder, until } from '@claviger/testing';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { build, PolicySystem, principal, sessionId } from './policy-system';

const refused = 'Authorization Violation';
const ci = 'https://ci.example';
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let provider: Child;
let issuer: string;
let away: string;
let system: PolicySystem;
let keys: Awaited<ReturnType<typeof generateKeyPair>>;

beforeAll(async () => {
  folder = await temporaryFolder('policy-oidc');
  keys = await generateKeyPair('ES256', { extractable: true });
  const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(keys.privateKey)), kid: 'issuer-1', alg: 'ES256', use: 'sig' }] });
  const [started] = await Promise.all([
    startChild(process.execPath, [join(import.meta.dirname, 'oidc-issuer.mjs'), '0'], {
      name: 'oidc-provider',
      env: { ...process.env, JWKS: jwks },
    }),
    build(),
  ]);
  provider = started;
  issuer = (await provider.waitForLog(/issuer (http:\S+)/, 60_000))[1] as string;
  away = `http://127.0.0.1:${await freePort()}`;
  const configured = (url: string, audience: string) => ({ issuer: url, audience, jwksUri: `${url}/jwks`, algorithms: ['ES256'] });
  const file = join(folder.path, 'issuers.json');
  writeFileSync(
    file,
    JSON.stringify([
      configured(issuer, 'claviger'),
      configured(away, 'claviger'),
      // The same keys under other names, each with rules of its own.
      { ...configured(issuer, 'claviger'), issuer: ci, oneTime: true, tokenMaxAgeSeconds: 120 },
      { ...configured(issuer, 'claviger'), issuer: 'https://idp.example', mfa: { acr: ['urn:two'] } },
      { ...configured(issuer, 'claviger'), issuer: undefined, trustDomain: 'example.org' },
    ]),
  );
  const oidc = (subject: string, from = issuer) => ({ kind: 'oidc' as const, issuer: from, subject });
  system = await PolicySystem.start({
    principals: [
      principal('olga-of-operations', { roles: ['operator'], identities: [oidc('olga'), oidc('olga', away)] }),
      principal('deployer', {
        ...{ kind: 'service', owner: 'sofia' },
        identities: [{ kind: 'oidc', issuer: ci, claims: { repository: 'acme/pay', '/kubernetes.io/namespace': 'pay' } }],
      }),
      principal('erin', { roles: ['operator'], identities: [oidc('erin', 'https://idp.example')] }),
      principal('workload', { kind: 'service', owner: 'sofia', identities: [{ kind: 'spiffe', id: 'spiffe://example.org/pay' }] }),
      principal('shut-out', { disabled: true, identities: [oidc('shut-out')] }),
      principal('sofia', { roles: ['security-officer'] }),
    ],
    env: { OIDC_ISSUERS_FILE: file },
  });
  await system.startPolicy();
}, 240_000);

afterAll(async () => {
  await system?.stop();
  await provider?.stop();
  await folder?.remove();
});

const tokenOf = async (client: string, resource = 'urn:claviger'): Promise<string> => {
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${client}:${client}-secret`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', resource, scope: 'use' }),
  });
  if (!response.ok) throw new Error(await response.text());
  return ((await response.json()) as { access_token: string }).access_token;
};
const forged = (claims: Record<string, unknown>, { kid = 'issuer-1', key = keys.privateKey, alg = 'ES256' } = {}) =>
  new SignJWT({ iss: issuer, sub: 'olga', aud: 'claviger', ...claims })
    .setProtectedHeader({ alg, kid })
    .setIssuedAt()
    .setExpirationTime('2m')
    .sign(key);

test('a token of the issuer admits as the principal that the registry names, not as its subject', async () => {
  const token = await tokenOf('olga');
  expect(await system.attempt('olga', { token })).toBe('admitted');
  const { session } = await system.caller('olga-of-operations', { token });
  expect((await system.records()).find((line) => line.session === session)).toMatchObject({
    principal: 'olga-of-operations',
    method: 'oidc',
    mfa: false,
  });
});

test('the session ends when the token does', async () => {
  const { session } = await system.caller('olga-of-operations', { token: await tokenOf('olga') });
  const { sessions, stop } = await system.views();
  const view = await until(() => sessionIn(sessions.get(session)), { what: 'the session' });
  expect(Date.parse(view.expiresAt) - Date.parse(view.issuedAt)).toBeLessThanOrEqual(120_000);
  stop();
});

test.each<[what: string, reason: string, token: () => Promise<string>]>([
  ['a subject that nobody registered', 'identity-unknown', () => tokenOf('stranger')],
  ['a disabled principal', 'principal-disabled', () => tokenOf('shut-out')],
  ['another audience', 'token-claims', () => tokenOf('olga', 'urn:elsewhere')],
  ['another key under the same kid', 'token-signature', async () => forged({}, { key: (await generateKeyPair('ES256')).privateKey })],
  ['a kid that the issuer does not have', 'token-signature', () => forged({}, { kid: 'nobody' })],
  [
    'an algorithm that is not allowed',
    'token-signature',
    async () => forged({}, { alg: 'ES384', key: (await generateKeyPair('ES384')).privateKey }),
  ],
  ['an issuer that is not configured', 'token-type', () => forged({ iss: 'http://127.0.0.1:1' })],
  ['an issuer whose keys cannot be had', 'issuer-unreachable', () => forged({ iss: away })],
  ['no subject', 'token-claims', () => forged({ sub: undefined })],
])('refuses %s', async (_what, reason, token) => {
  expect(await system.attempt('olga-of-operations', { token: await token(), session: sessionId() })).toBe(refused);
  await system.recorded({ kind: 'session', event: 'refused', code: reason });
});

test('an expired token is refused', async () => {
  const iat = Math.floor(Date.now() / 1_000) - 600;
  const token = await new SignJWT({ iss: issuer, sub: 'olga', aud: 'claviger', iat, exp: iat + 60 })
    .setProtectedHeader({ alg: 'ES256', kid: 'issuer-1' })
    .sign(keys.privateKey);
  expect(await system.attempt('olga-of-operations', { token })).toBe(refused);
  await system.recorded({ event: 'refused', code: 'token-expired' });
});

test('a second factor that the issuer saw counts', async () => {
  const { session } = await system.caller('olga-of-operations', { token: await forged({ amr: ['pwd', 'mfa'] }) });
  expect((await system.records()).find((line) => line.session === session)).toMatchObject({ mfa: true });
});

describe('a CI job', () => {
  const job = (more: Record<string, unknown> = {}, jti = sessionId()) =>
    forged({ iss: ci, sub: `run:${jti}`, repository: 'acme/pay', 'kubernetes.io': { namespace: 'pay' }, jti, ...more });

  test('is known by what its token claims, and its token admits once', async () => {
    const token = await job();
    expect(await system.attempt('deployer', { token })).toBe('admitted');
    expect(await system.attempt('deployer', { token })).toBe(refused);
    await system.recorded({ event: 'refused', code: 'token-replayed', principal: 'deployer' });
    expect(await system.attempt('deployer', { token: await job() })).toBe('admitted');
  });

  test('is nobody from another repository, and without a jti has no token that admits once', async () => {
    expect(await system.attempt('deployer', { token: await job({ repository: 'acme/pay-fork' }) })).toBe(refused);
    expect(await system.attempt('deployer', { token: await job({ jti: undefined }) })).toBe(refused);
  });

  test('does not come in with a token that is older than its issuer may vouch for', async () => {
    const iat = Math.floor(Date.now() / 1_000) - 200;
    const token = await new SignJWT({ iss: ci, sub: 'run', aud: 'claviger', repository: 'acme/pay', jti: 'j', iat, exp: iat + 600 })
      .setProtectedHeader({ alg: 'ES256', kid: 'issuer-1' })
      .sign(keys.privateKey);
    expect(await system.attempt('deployer', { token })).toBe(refused);
  });
});

test('the class of an authentication counts as a second factor where the issuer is configured so, and is in the session', async () => {
  const idp = { iss: 'https://idp.example', sub: 'erin' };
  const views = await system.views();
  const viewOf = async (claims: Record<string, unknown>) => {
    const { session } = await system.caller('erin', { token: await forged({ ...idp, ...claims }) });
    return until(() => sessionIn(views.sessions.get(session)), { what: 'the session' });
  };
  expect(await viewOf({ acr: 'urn:two' })).toMatchObject({ mfa: true, acr: 'urn:two' });
  expect(await viewOf({ acr: 'urn:one' })).toMatchObject({ mfa: false, acr: 'urn:one' });
  views.stop();
});

test('a JWT-SVID proves its SPIFFE id, in its own trust domain only', async () => {
  const svid = (sub: string, more = {}) => forged({ iss: undefined, sub, ...more });
  expect(await system.attempt('workload', { token: await svid('spiffe://example.org/pay') })).toBe('admitted');
  expect(await system.attempt('workload', { token: await svid('spiffe://other.org/pay') })).toBe(refused);
  expect(await system.attempt('workload', { token: await svid('spiffe://example.org/pay', { aud: 'elsewhere' }) })).toBe(refused);
  // An issuer that is none of a trust domain says nothing about SPIFFE ids.
  expect(await system.attempt('workload', { token: await forged({ sub: 'spiffe://example.org/pay' }) })).toBe(refused);
});

test('with the issuer away its cached key still admits', async () => {
  const token = await tokenOf('olga');
  await provider.kill9();
  expect(await system.attempt('olga-of-operations', { token })).toBe('admitted');
});
