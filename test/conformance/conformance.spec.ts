import { execFile } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TemporaryFolder, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CompactEncrypt, CompactSign } from 'jose';

const root = workspaceRoot();
const vectors = join(root, 'test/conformance/vectors');
let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder('conformance-spec');
});
afterAll(() => folder.remove());

/** The command itself, as somebody else runs it. */
const run = (...args: string[]) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [join(root, 'dist/test/conformance/main.js'), ...args], { cwd: root }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr }),
    );
  });
const file = (name: string, content: unknown) => {
  const path = join(folder.path, name);
  writeFileSync(path, JSON.stringify(content));
  return path;
};

test('every vector of the cut set passes or is skipped with a reason, and each format is covered', async () => {
  const report = join(folder.path, 'report.json');
  const { code, stdout } = await run('wycheproof', vectors, '--json', report);
  expect([code, stdout.includes('✗')]).toEqual([0, false]);
  const { total, files } = JSON.parse(readFileSync(report, 'utf8'));
  expect(files).toHaveLength(readdirSync(vectors).filter((name) => name.endsWith('.json')).length);
  const uncovered = files.filter(({ passed }: { passed: number }) => passed === 0).map(({ file: name }: { file: string }) => name);
  // SoftHSM does no OAEP with SHA-256.
  expect(uncovered).toEqual(['rsa_oaep_2048_sha256_mgf1sha256_test.json']);
  expect(total.passed).toBeGreaterThan(500);
});

test.each([
  ['aes_gcm_test.json', 'ct'],
  ['aes_wrap_test.json', 'ct'],
  ['aes_kwp_test.json', 'ct'],
  ['hmac_sha384_test.json', 'tag'],
  ['ed25519_test.json', 'sig'],
  ['ecdsa_secp256k1_sha256_test.json', 'sig'],
  ['ecdsa_secp521r1_sha512_p1363_test.json', 'sig'],
  ['rsa_signature_2048_sha512_test.json', 'sig'],
  ['rsa_pss_2048_sha384_mgf1_48_test.json', 'sig'],
  ['ecdh_secp384r1_test.json', 'shared'],
])('%s: a wrong value in a valid vector is found, named, and is exit 1', async (name, field) => {
  const content = JSON.parse(readFileSync(join(vectors, name), 'utf8'));
  const all = content.testGroups.flatMap(({ tests }: { tests: Record<string, string>[] }) => tests);
  const changed = all.find((one: Record<string, string>) => one.result === 'valid' && (one[field]?.length ?? 0) > 0);
  const last = changed[field].slice(-1);
  changed[field] = changed[field].slice(0, -1) + (last === '0' ? '1' : '0');
  const { code, stdout } = await run('wycheproof', file(name, content));
  expect(code).toBe(1);
  expect(stdout).toMatch(new RegExp(`✗ tcId ${changed.tcId}\\b.*valid, and was (rejected|mismatch)`));
  expect(stdout).toMatch(/ 1 failed/);
});

test('JWS and JWE that another library made: right ones are taken, changed ones are not', async () => {
  const secret = randomBytes(32);
  const oct = (alg: string, use: string) => ({ kty: 'oct', kid: 'k', alg, use, k: secret.toString('base64url') });
  const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const [payload, pt] = [Buffer.from('a contract'), Buffer.from('a secret')];
  const signed = async (alg: string, key: Parameters<CompactSign['sign']>[0]) =>
    new CompactSign(payload).setProtectedHeader({ alg, kid: 'k' }).sign(key);
  const sealed = async (alg: string, enc: string, key: Parameters<CompactEncrypt['encrypt']>[0]) =>
    new CompactEncrypt(pt).setProtectedHeader({ alg, enc, kid: 'k' }).encrypt(key);
  const both = (field: 'jws' | 'jwe', compact: string) => [
    { tcId: 1, result: 'valid', [field]: compact, pt: pt.toString('hex') },
    { tcId: 2, result: 'invalid', [field]: `${compact.slice(0, -3)}${compact.slice(-3, -2) === 'A' ? 'B' : 'A'}${compact.slice(-2)}` },
  ];
  const publicJwk = { ...createPublicKey(ec.publicKey.export({ format: 'pem', type: 'spki' })).export({ format: 'jwk' }), kid: 'k' };
  const privateJwk = { ...ec.privateKey.export({ format: 'jwk' }), kid: 'k', use: 'enc' };
  const groups = [
    { type: 'JsonWebSignature', private: oct('HS256', 'sig'), tests: both('jws', await signed('HS256', secret)) },
    { type: 'JsonWebSignature', public: { ...publicJwk, alg: 'ES256' }, tests: both('jws', await signed('ES256', ec.privateKey)) },
    { type: 'JsonWebEncryption', private: oct('A256KW', 'enc'), tests: both('jwe', await sealed('A256KW', 'A256GCM', secret)) },
    {
      ...{ type: 'JsonWebEncryption', private: { ...privateJwk, alg: 'ECDH-ES+A128KW' } },
      tests: both('jwe', await sealed('ECDH-ES+A128KW', 'A128CBC-HS256', ec.publicKey)),
    },
    {
      type: 'JsonWebEncryption',
      private: { ...privateJwk, alg: 'ECDH-ES' },
      tests: both('jwe', await sealed('ECDH-ES', 'A256GCM', ec.publicKey)),
    },
  ];
  const { code, stdout } = await run('wycheproof', file('jose.json', { testGroups: groups }));
  expect([code, stdout]).toEqual([0, expect.stringContaining('10 passed, 0 failed, 0 skipped')]);
});

test('what is no vector file fails; a folder without one, one that is not there, and no folder say what to give', async () => {
  expect(await run('wycheproof', file('not.json', { testGroups: [{}] }))).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('not a vector file'),
  });
  writeFileSync(join(folder.path, 'broken.json'), '{');
  expect((await run('wycheproof', join(folder.path, 'broken.json'))).code).toBe(1);
  expect(await run('wycheproof', join(root, 'deploy'))).toMatchObject({ code: 65, stderr: expect.stringContaining('testvectors_v1') });
  expect(await run('wycheproof', join(folder.path, 'away'))).toMatchObject({ code: 66 });
  expect(await run()).toMatchObject({ code: 64, stderr: expect.stringContaining('usage') });
});
