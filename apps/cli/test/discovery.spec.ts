import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, type TemporaryFolder, temporaryFolder } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readBounded } from '../src/discovery/bounded-file';
import type { DiscoveredKey } from '../src/discovery/discovered';
import { discoveryFindings, type KnownToUs } from '../src/discovery/discovery-findings';
import { type FolderLook, keysInFolder } from '../src/discovery/folder';
import { keysIn } from '../src/discovery/key-file';
import { discoveredIn } from '../src/discovery/token';

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder('discovery');
});
afterAll(() => folder.remove());

const sha256 = (key: KeyObject) =>
  createHash('sha256')
    .update(key.export({ format: 'der', type: 'spki' }))
    .digest('base64url');
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa1024 = generateKeyPairSync('rsa', { modulusLength: 1024 });
const ed25519 = generateKeyPairSync('ed25519');
const pem = (key: KeyObject, type: 'pkcs8' | 'spki' | 'sec1' | 'pkcs1') => key.export({ format: 'pem', type: type as 'pkcs8' }).toString();

test('keys are known in every form that they come in, and nothing secret is said of them', () => {
  const half = sha256(p256.publicKey);
  const inClear = { kind: 'private', protection: 'none', algorithm: 'EC_P256', strengthBits: 128, publicKeySha256: half };
  expect(keysIn(Buffer.from(pem(p256.privateKey, 'pkcs8')))).toEqual([inClear]);
  expect(keysIn(Buffer.from(pem(p256.privateKey, 'sec1')))).toEqual([inClear]);
  expect(keysIn(p256.privateKey.export({ format: 'der', type: 'pkcs8' }))).toEqual([inClear]);
  expect(keysIn(Buffer.from(JSON.stringify(p256.privateKey.export({ format: 'jwk' }))))).toEqual([inClear]);
  const both = `${pem(rsa1024.privateKey, 'pkcs1')}\nsomething else\r\n${pem(ed25519.publicKey, 'spki')}`;
  expect(keysIn(Buffer.from(both))).toEqual([
    { kind: 'private', protection: 'none', algorithm: 'RSA_1024', strengthBits: 80, publicKeySha256: sha256(rsa1024.publicKey) },
    { kind: 'public', protection: 'not needed', algorithm: 'ED25519', strengthBits: 128, publicKeySha256: sha256(ed25519.publicKey) },
  ]);
  const encrypted = { format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'p' } as const;
  expect(keysIn(Buffer.from(p256.privateKey.export(encrypted)))).toEqual([{ kind: 'private', protection: 'password' }]);
  expect(keysIn(p256.privateKey.export({ ...encrypted, format: 'der' }))).toEqual([{ kind: 'private', protection: 'password' }]);
  const unread = [{ kind: 'private', protection: 'none', strengthBits: 0 }];
  for (const damaged of [
    '{"kty":"EC","crv":"P-1","d":"AA"}',
    '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----',
  ])
    expect(keysIn(Buffer.from(damaged))).toEqual(unread);
  const set = { keys: [ed25519.publicKey.export({ format: 'jwk' }), { kty: 'oct', k: Buffer.alloc(32, 7).toString('base64url') }] };
  expect(keysIn(Buffer.from(JSON.stringify(set)))).toEqual([
    expect.objectContaining({ kind: 'public', algorithm: 'ED25519' }),
    { kind: 'secret', protection: 'none', algorithm: 'oct_256', strengthBits: 256 },
  ]);
  expect(keysIn(Buffer.from('feedfeed0000000200000001', 'hex'))).toEqual([{ kind: 'keystore', protection: 'password' }]);
  expect(keysIn(Buffer.from('308209d10201033082099706092a864886f70d010701', 'hex'))).toEqual([
    { kind: 'keystore', protection: 'password' },
  ]);
  for (const nothing of ['', 'hello', '{"kty":7}', '{"kty":"EC","d":1}', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'])
    expect(keysIn(Buffer.from(nothing))).toEqual([]);
});

/** What ssh-keygen writes (openssh-portable, PROTOCOL.key), but for the secret part, which is not read. */
function openssh(key: KeyObject, cipher: string): string {
  const field = (bytes: Buffer | string) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(bytes));
    return Buffer.concat([length, Buffer.from(bytes)]);
  };
  const { kty, x = '', y = '', n = '', e = '' } = key.export({ format: 'jwk' });
  const b = (text: string) => Buffer.from(text, 'base64url');
  const half =
    kty === 'OKP'
      ? [field('ssh-ed25519'), field(b(x))]
      : kty === 'RSA'
        ? [field('ssh-rsa'), field(b(e)), field(Buffer.concat([Buffer.alloc(1), b(n)]))]
        : [field('ecdsa-sha2-nistp256'), field('nistp256'), field(Buffer.concat([Buffer.from([4]), b(x), b(y)]))];
  const one = Buffer.from([0, 0, 0, 1]);
  const parts = [Buffer.from('openssh-key-v1\0'), field(cipher), field(cipher === 'none' ? 'none' : 'bcrypt'), field(''), one];
  const whole = Buffer.concat([...parts, field(Buffer.concat(half)), field(Buffer.alloc(64))]);
  const lines = whole.toString('base64').match(/.{1,70}/g) as string[];
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join('\n');
}

test('keys as OpenSSH has them and certificates of openssl are read', async () => {
  const at = (name: string) => join(folder.path, name);
  await runCommand('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    at('tls.key'),
    '-out',
    at('tls.crt'),
    '-days',
    '10',
    '-subj',
    '/CN=x',
  ]);
  for (const [name, key, cipher] of [
    ['plain', ed25519.publicKey, 'none'],
    ['locked', p256.publicKey, 'aes256-ctr'],
    ['long', rsa1024.publicKey, 'none'],
  ] as const)
    writeFileSync(at(name), openssh(key, cipher), { mode: 0o600 });
  mkdirSync(at('below'));
  writeFileSync(at('below/open.pem'), pem(p256.privateKey, 'pkcs8'));
  chmodSync(at('below/open.pem'), 0o644);
  symlinkSync(at('tls.key'), at('below/link.pem'));
  const look: FolderLook = { files: 0, unseen: [] };
  const found: DiscoveredKey[] = [];
  for await (const key of keysInFolder(folder.path, look)) found.push(key);
  expect(
    found.map(({ place, kind, algorithm, protection }) => `${place.slice(folder.path.length + 1)} ${kind} ${algorithm} ${protection}`),
  ).toEqual([
    'below/open.pem private EC_P256 none',
    'locked private EC_P256 password',
    'long private RSA_1024 none',
    'plain private ED25519 none',
    'tls.crt certificate RSA_2048 not needed',
    'tls.key private RSA_2048 none',
  ]);
  expect(found[0]?.drift).toEqual([expect.objectContaining({ why: expect.stringContaining('mode 644') })]);
  expect(found[4]?.publicKeySha256).toBe(found[5]?.publicKeySha256);
  expect(found.slice(1, 4).map(({ publicKeySha256 }) => publicKeySha256)).toEqual(
    [p256, rsa1024, ed25519].map(({ publicKey }) => sha256(publicKey)),
  );
  expect(look).toEqual({ files: 6, unseen: [] });
  const missing: FolderLook = { files: 0, unseen: [] };
  for await (const _ of keysInFolder(at('nowhere'), missing)) throw new Error('there is none');
  expect(missing.unseen).toEqual([{ place: at('nowhere'), why: 'ENOENT' }]);
}, 60_000);

test('of a file no more is read than may be, and nothing but a regular one, whatever its name stood for a moment before', async () => {
  const below = join(folder.path, 'bounded');
  mkdirSync(below);
  const at = (name: string) => join(below, name);
  writeFileSync(at('empty'), '');
  writeFileSync(at('full'), Buffer.alloc(1_000, 7));
  symlinkSync(at('full'), at('link'));
  await runCommand('mkfifo', [at('pipe')]);
  const read = async (path: string, most: number) => {
    const found = await readBounded(path, most);
    return 'unseen' in found ? found.unseen : found.bytes.length;
  };
  expect(await read(at('full'), 1_000)).toBe(1_000);
  expect(await read(at('empty'), 1_000)).toBe(0);
  expect(await read(at('full'), 999)).toMatch(/^more than /);
  expect(await read(at('link'), 1_000)).toBe('ELOOP');
  expect(await read(at('pipe'), 1_000)).toBe('no regular file');
  expect(await read(at('nowhere'), 1_000)).toBe('ENOENT');
  // It says that it has no bytes, and has them.
  if (!existsSync('/proc/self/status')) return;
  expect(await read('/proc/self/status', 100_000)).toBeGreaterThan(100);
  expect(await read('/proc/self/status', 99)).toMatch(/^more than /);
});

/** Mounting one wants root; nearly every Linux has this one, and some containers have not. */
const hasMountBelow = existsSync('/dev/shm') && statSync('/dev/shm').dev !== statSync('/dev').dev;
(hasMountBelow ? test : test.skip)('another file system below a folder is left out, and named', async () => {
  const look: FolderLook = { files: 0, unseen: [] };
  for await (const _ of keysInFolder('/dev', look));
  expect(look.unseen).toContainEqual({ place: '/dev/shm', why: 'another file system' });
});

test('no bytes make it fail, or take long', () => {
  const part = fc.constantFrom(
    '-----BEGIN ',
    'PRIVATE KEY',
    '-----',
    '-----END ',
    'CERTIFICATE',
    'AAAA',
    '\n',
    '{"kty":"RSA"',
    '}',
    '\u0000',
    '0\u0082',
  );
  fc.assert(fc.property(fc.array(part, { maxLength: 60 }), (parts) => void keysIn(Buffer.from(parts.join(''), 'latin1'))));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void keysIn(Buffer.from([0x30, ...bytes]))));
  // Quadratic work on this would take hours.
  expect(keysIn(Buffer.from(`${'-----BEGIN A-----\n'.repeat(200_000)}-----END B-----`))).toEqual([]);
  expect(
    keysIn(Buffer.from('-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA/////w==\n-----END OPENSSH PRIVATE KEY-----')),
  ).toEqual([{ kind: 'private', protection: 'none', strengthBits: 0 }]);
});

const known = (more: Partial<KnownToUs> = {}): KnownToUs => ({
  nowMs: Date.parse('2026-11-30T00:00:00Z'),
  managed: new Map(),
  accepted: new Set(),
  expiringDays: 30,
  ...more,
});
const key = (more: Partial<DiscoveredKey> = {}): DiscoveredKey => ({
  ...{ place: 'p', kind: 'private', algorithm: 'EC_P256', strengthBits: 128, protection: 'password', publicKeySha256: 'fp', drift: [] },
  ...more,
});
const checks = (...args: Parameters<typeof discoveryFindings>) => discoveryFindings(...args).map(({ check }) => check);

test('a copy of a managed key is the worst that can be found, and told whatever is accepted; what is public is not unmanaged', () => {
  const managed = new Map([['fp', 'k_A#2']]);
  expect(checks(key({ protection: 'none' }), known({ managed }))).toEqual(['copy', 'exposed']);
  expect(discoveryFindings(key(), known({ managed }))[0]?.next).toBe(
    'claviger keys mark-compromised k_A --key-version 2 --rotate --reason …',
  );
  expect(checks(key(), known())).toEqual(['unmanaged']);
  expect(checks(key(), known({ accepted: new Set(['fp']) }))).toEqual([]);
  const bad = key({ strengthBits: 112, protection: 'none', drift: [{ why: 'w', next: 'n' }], notAfter: '2026-11-29T00:00:00.000Z' });
  expect(checks(bad, known())).toEqual(['exposed', 'weak', 'expired', 'drift', 'unmanaged']);
  expect(checks(bad, known({ accepted: new Set(['fp']) }))).toEqual([]);
  expect(checks(bad, known({ managed, accepted: new Set(['fp']) }))).toEqual(['copy']);
  expect(checks(key({ id: 'arn:x', place: 'arn:x (alias/a)' }), known({ accepted: new Set(['arn:x']) }))).toEqual([]);
  expect(checks(key({ kind: 'public', strengthBits: 112 }), known())).toEqual([]);
  expect(checks(key({ kind: 'certificate', strengthBits: 112 }), known())).toEqual(['weak']);
  const certificate = (notAfter: string) => key({ kind: 'certificate', protection: 'not needed', notAfter });
  expect(checks(certificate('2026-11-29T00:00:00.000Z'), known({ managed }))).toEqual(['expired']);
  expect(checks(certificate('2026-12-20T00:00:00.000Z'), known())).toEqual(['expiring']);
  expect(checks(certificate('2027-12-20T00:00:00.000Z'), known())).toEqual([]);
});

test('of a token, keys that can leave it or came from outside are told; a public half only where its private half is not there', () => {
  const spki = p256.publicKey.export({ format: 'der', type: 'spki' });
  const half = { label: 'a', class: 'public' as const, algorithm: 'EC_P256' as const, keyType: 3, publicKeySpki: spki, attributes: {} };
  const pair = { ...half, class: 'private' as const, attributes: { CKA_SENSITIVE: true, CKA_EXTRACTABLE: true, CKA_LOCAL: false } };
  const [found, ...others] = discoveredIn('old', [pair, half]);
  expect(others).toEqual([]);
  expect(found).toMatchObject({ place: 'old: a', publicKeySha256: sha256(p256.publicKey), strengthBits: 128 });
  expect(found?.drift.map(({ why }) => why)).toEqual([expect.stringContaining('CKA_EXTRACTABLE'), expect.stringContaining('CKA_LOCAL')]);
  expect(discoveredIn('old', [half])).toHaveLength(1);
  const des = {
    label: 'd',
    class: 'secret' as const,
    keyType: 0x15,
    attributes: { CKA_WRAP: true, CKA_DECRYPT: true, CKA_SENSITIVE: false },
  };
  expect(discoveredIn('old', [des])[0]).toMatchObject({ algorithm: 'DES3', strengthBits: 0, drift: [{}, {}] });
});
