import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sessionIn } from '@claviger/contracts';
import { type Child, freePort, startChild, temporaryFolder, until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { build, PolicySystem, principal, sessionId } from './policy-system';

const refused = 'Authorization Violation';
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
  writeFileSync(file, JSON.stringify([configured(issuer, 'claviger'), configured(away, 'claviger')]));
  const oidc = (subject: string, from = issuer) => ({ kind: 'oidc' as const, issuer: from, subject });
  system = await PolicySystem.start({
    principals: [
      principal('olga-of-operations', { roles: ['operator'], identities: [oidc('olga'), oidc('olga', away)] }),
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

test('with the issuer away its cached key still admits', async () => {
  const token = await tokenOf('olga');
  await provider.kill9();
  expect(await system.attempt('olga-of-operations', { token })).toBe('admitted');
});
