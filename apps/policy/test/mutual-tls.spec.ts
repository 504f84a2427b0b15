import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, temporaryFolder } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { build, PolicySystem, principal } from './policy-system';

const refused = 'Authorization Violation';
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let system: PolicySystem;

const file = (name: string) => join(folder.path, name);
const openssl = (...args: string[]) => runCommand('openssl', args, { cwd: folder.path });
const shown = (name: string) => ({ caFile: file('ca.pem'), certFile: file(`${name}.pem`), keyFile: file(`${name}.key`) });

/** A certificate of our authority, or of another, with this subjectAltName. */
async function certify(name: string, subjectAltName: string, { by = 'ca', keyUsage = '' } = {}): Promise<void> {
  const usage = keyUsage && `keyUsage=${keyUsage}\n`;
  writeFileSync(
    file(`${name}.ext`),
    `subjectAltName=${subjectAltName}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth,serverAuth\n${usage}`,
  );
  await openssl(
    'req',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.csr`,
    '-subj',
    `/CN=${name}`,
  );
  await openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    '-CA',
    `${by}.pem`,
    '-CAkey',
    `${by}.key`,
    '-CAcreateserial',
    '-days',
    '1',
    '-extfile',
    `${name}.ext`,
    '-out',
    `${name}.pem`,
  );
}

const authority = (name: string, subject: string) =>
  openssl(
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
    ...['-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', subject],
  );

beforeAll(async () => {
  folder = await temporaryFolder('policy-tls');
  for (const [name, subject] of [
    ['ca', '/CN=authority'],
    ['partner', '/CN=authority of a partner'],
  ] as const)
    await authority(name, subject);
  writeFileSync(file('both.pem'), ['ca', 'partner'].map((name) => readFileSync(file(`${name}.pem`), 'utf8')).join(''));
  await certify('broker', 'IP:127.0.0.1,DNS:localhost');
  await certify('service', 'DNS:policy');
  await certify('payments', 'URI:spiffe://example.org/payments,DNS:payments');
  await certify('printed', 'DNS:printed');
  await certify('two-ids', 'URI:spiffe://example.org/payments,URI:spiffe://example.org/other');
  await certify('partner-payments', 'URI:spiffe://example.org/payments', { by: 'partner' });
  await certify('partner-own', 'URI:spiffe://partner.org/orders', { by: 'partner', keyUsage: 'critical,digitalSignature' });
  await certify('signs-others', 'URI:spiffe://example.org/payments', { keyUsage: 'critical,digitalSignature,keyCertSign' });
  await certify('elsewhere', 'URI:spiffe://elsewhere.org/payments');
  writeFileSync(
    file('trust-domains.json'),
    JSON.stringify([
      { trustDomain: 'example.org', caFile: file('ca.pem') },
      { trustDomain: 'partner.org', caFile: file('partner.pem') },
    ]),
  );
  await certify('unknown', 'URI:spiffe://example.org/unknown');
  await certify('shared', 'URI:spiffe://example.org/shared');
  const fingerprint = (name: string) =>
    new X509Certificate(readFileSync(file(`${name}.pem`))).fingerprint256.replaceAll(':', '').toLowerCase();
  await build();
  system = await PolicySystem.start({
    principals: [
      principal('payments-api', {
        kind: 'service',
        roles: ['application'],
        identities: [{ kind: 'spiffe', id: 'spiffe://example.org/payments' }],
      }),
      principal('partner-api', { kind: 'service', identities: [{ kind: 'spiffe', id: 'spiffe://partner.org/orders' }] }),
      principal('elsewhere-api', { kind: 'service', identities: [{ kind: 'spiffe', id: 'spiffe://elsewhere.org/payments' }] }),
      principal('printed-api', { kind: 'service', identities: [{ kind: 'certificate', fingerprint256: fingerprint('printed') }] }),
      principal('shared-one', { identities: [{ kind: 'spiffe', id: 'spiffe://example.org/shared' }] }),
      principal('shared-two', { identities: [{ kind: 'certificate', fingerprint256: fingerprint('shared') }] }),
      principal('sofia', { roles: ['security-officer'] }),
    ],
    tls: {
      broker: { certFile: file('broker.pem'), keyFile: file('broker.key'), clientCaFile: file('both.pem') },
      service: shown('service'),
    },
    env: { SPIFFE_TRUST_DOMAINS_FILE: file('trust-domains.json') },
  });
  await system.startPolicy();
}, 240_000);

afterAll(async () => {
  await system?.stop();
  await folder?.remove();
});

const attempt = (id: string, name: string, token = '') =>
  system.caller(id, { token, tls: shown(name) }).then(
    ({ session }) => session,
    (error: Error) => error.message,
  );

test.each([
  ['by its SPIFFE id', 'payments', 'payments-api'],
  ['by its fingerprint', 'printed', 'printed-api'],
  ['of another authority, in its own trust domain,', 'partner-own', 'partner-api'],
])('a verified certificate admits %s', async (_how, name, id) => {
  const session = await attempt(id, name);
  expect(await system.recorded({ kind: 'session', event: 'opened', session })).toMatchObject({
    principal: id,
    method: 'certificate',
    mfa: false,
  });
});

test.each([
  ['an id that nobody registered', 'unknown', 'identity-unknown'],
  ['two SPIFFE ids', 'two-ids', 'certificate-unreadable'],
  ['an id of a trust domain that another authority speaks for', 'partner-payments', 'trust-domain'],
  ['an id of a trust domain that nobody speaks for', 'elsewhere', 'trust-domain'],
  ['a SPIFFE certificate that may sign others', 'signs-others', 'certificate-unreadable'],
  ['a certificate of two principals', 'shared', 'identity-ambiguous'],
])('refuses %s', async (_what, name, reason) => {
  expect(await attempt('payments-api', name)).toBe(refused);
  await system.recorded({ kind: 'session', event: 'refused', code: reason });
});

test('a token that is given counts, never the certificate beside it', async () => {
  const session = await attempt('sofia', 'payments', system.token('sofia'));
  expect(await system.recorded({ event: 'opened', session })).toMatchObject({ principal: 'sofia', method: 'token' });
  expect(await attempt('payments-api', 'payments', 'a.broken.token')).toBe(refused);
});
