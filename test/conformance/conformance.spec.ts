import { execFile } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readMachine, type TemporaryFolder, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CompactEncrypt, CompactSign } from 'jose';

const root = workspaceRoot();
const vectors = join(root, 'test/conformance/vectors');
let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder('conformance-spec');
});
afterAll(() => folder.remove());

const kryopticLibrary = process.env.KRYOPTIC_LIBRARY ?? readMachine().kryoptic?.libraryPath;
const onKryoptic = kryopticLibrary ? test : test.skip;

/** The command itself, as somebody else runs it. */
const run = (...args: string[]) => runWith(kryopticLibrary, ...args);
const runWith = (library: string | undefined, ...args: string[]) =>
  new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const options = { cwd: root, env: { ...process.env, KRYOPTIC_LIBRARY: library ?? join(root, 'no such library') } };
    execFile(process.execPath, [join(root, 'dist/test/conformance/main.js'), ...args], options, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr }),
    );
  });
interface Row {
  file: string;
  passed: number;
  tokens: Record<string, number>;
}
const file = (name: string, content: unknown) => {
  const path = join(folder.path, name);
  writeFileSync(path, JSON.stringify(content));
  return path;
};

const postQuantumOnly = (file: string) => /^(?:ml|rsa_oaep)/.test(file);
const cutSet = readdirSync(vectors).filter((name) => name.endsWith('.json'));

test('without kryoptic every vector that SoftHSM can do passes, and the others are skipped with what is missing and how to get it', async () => {
  const report = join(folder.path, 'report.json');
  const { code, stdout } = await runWith(undefined, 'wycheproof', vectors, '--json', report);
  expect([code, stdout.includes('✗')]).toEqual([0, false]);
  const { total, files } = JSON.parse(readFileSync(report, 'utf8')) as { total: Row; files: Row[] };
  expect(files.map(({ file: name }) => name)).toEqual(cutSet.sort());
  expect(files.filter(({ passed }) => passed === 0).map(({ file: name }) => name)).toEqual(cutSet.filter(postQuantumOnly));
  expect(total.passed).toBeGreaterThan(500);
  expect(stdout).toMatch(/kryoptic is not here: `npm run setup`/);
  expect(stdout).toMatch(/skipped: Token softhsm lacks mechanism 0x1d for ML_DSA_44/);
  expect(await runWith(undefined, 'wycheproof', vectors, '--token', 'kryoptic')).toMatchObject({ code: 69 });
});

onKryoptic('with it each file has a part that passes, on the first token that can do it; either alone fails nothing', async () => {
  const report = join(folder.path, 'both.json');
  const { code, stdout } = await run('wycheproof', vectors, '--json', report);
  expect([code, stdout.includes('✗')]).toEqual([0, false]);
  const { files } = JSON.parse(readFileSync(report, 'utf8')) as { files: Row[] };
  expect(files.filter(({ passed }) => passed === 0)).toEqual([]);
  for (const { file: name, tokens } of files)
    expect([name, Object.keys(tokens)]).toEqual([
      name,
      name.startsWith('hmac') ? expect.anything() : [postQuantumOnly(name) ? 'kryoptic' : 'softhsm'],
    ]);
  expect(stdout).toMatch(/✓ mlkem_768_test\.json \(kryoptic\): 3 passed/);
  for (const token of ['softhsm', 'kryoptic']) {
    const alone = await run('wycheproof', vectors, '--token', token, '--json', report);
    expect([alone.code, alone.stdout.includes('✗')]).toEqual([0, false]);
    const rows = (JSON.parse(readFileSync(report, 'utf8')) as { files: Row[] }).files;
    expect(new Set(rows.flatMap(({ tokens }) => Object.keys(tokens)))).toEqual(new Set([token]));
  }
});

const classical = [
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
] as const;
const onKryopticOnly = [
  ['rsa_oaep_2048_sha256_mgf1sha256_test.json', 'msg'],
  ['mldsa_44_verify_test.json', 'sig'],
  ['mldsa_44_sign_seed_test.json', 'sig'],
  ['mldsa_44_sign_noseed_test.json', 'sig'],
  ['mlkem_768_test.json', 'K'],
  ['mlkem_768_semi_expanded_decaps_test.json', 'K'],
  ['mlkem_768_keygen_seed_test.json', 'seed'],
  ['mlkem_768_encaps_test.json', 'c'],
] as const;
type Vectors = { testGroups: { tests: Record<string, string>[] }[] };
const read = (name: string) => JSON.parse(readFileSync(join(vectors, name), 'utf8')) as Vectors;
const testsOf = ({ testGroups }: Vectors) => testGroups.flatMap(({ tests }) => tests);

/** What the report says of each file, in one run of all of them. */
async function sections(files: string[]): Promise<{ code: number; of: (name: string) => string }> {
  const { code, stdout } = await run('wycheproof', ...files);
  const all = stdout.split(/^(?=[✗✓–] )/mu);
  return { code, of: (name) => all.find((section) => section.slice(2).startsWith(name)) ?? '' };
}

async function findsChanges(cases: readonly (readonly [name: string, field: string])[]): Promise<void> {
  const changed = cases.map(([name, field]) => {
    const content = read(name);
    const one = testsOf(content).find((vector) => vector.result === 'valid' && (vector[field]?.length ?? 0) > 0)!;
    const value = one[field]!;
    // Of a ciphertext that cannot be compared, the length.
    one[field] = field === 'c' ? value.slice(2) : value.slice(0, -1) + (value.endsWith('0') ? '1' : '0');
    return { name, tcId: one.tcId, path: file(name, content) };
  });
  const { code, of } = await sections(changed.map(({ path }) => path));
  expect(code).toBe(1);
  for (const { name, tcId } of changed) {
    expect(of(name)).toMatch(new RegExp(`✗ tcId ${tcId}\\b.*valid, and was (rejected|mismatch)`));
    expect(of(name)).toMatch(/ 1 failed/);
  }
}
test('a wrong value in a valid vector is found, named, and is exit 1', () => findsChanges(classical));
onKryoptic('the same of what only kryoptic can do', () => findsChanges(onKryopticOnly));

onKryoptic('an invalid vector that is called valid is found', async () => {
  const swapped = onKryopticOnly.map(([name]) => {
    const content = read(name);
    const invalid = testsOf(content).filter(({ result }) => result === 'invalid');
    for (const one of invalid) Object.assign(one, { result: 'valid', K: '' });
    return { name, count: invalid.length, path: file(name, content) };
  });
  const { of } = await sections(swapped.map(({ path }) => path));
  for (const { name, count } of swapped) expect(of(name)).toMatch(new RegExp(` ${count} failed`));
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
  const okp = generateKeyPairSync('ed25519');
  const okpJwk = { ...okp.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'EdDSA' };
  const groups = [
    { type: 'JsonWebSignature', public: okpJwk, tests: both('jws', await signed('EdDSA', okp.privateKey)) },
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
  expect([code, stdout]).toEqual([0, expect.stringContaining('12 passed, 0 failed, 0 skipped')]);
});

onKryoptic('JWS of ML-DSA (RFC 9964): right ones are taken, changed ones and those of another algorithm are not', async () => {
  const groups = (['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'] as const).map((alg) => {
    const pair = generateKeyPairSync(alg.toLowerCase() as 'ml-dsa-44');
    const jws = (said: string) => {
      const input = [{ alg: said, kid: 'k' }, { sub: 'a contract' }]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.');
      return `${input}.${sign(null, Buffer.from(input), pair.privateKey).toString('base64url')}`;
    };
    const right = jws(alg);
    const tests = [
      { tcId: 1, result: 'valid', jws: right },
      { tcId: 2, result: 'invalid', jws: right.replace('.', '.A') },
      { tcId: 3, result: 'invalid', jws: jws(alg === 'ML-DSA-44' ? 'ML-DSA-65' : 'ML-DSA-44') },
    ];
    return { type: 'JsonWebSignature', public: { ...pair.publicKey.export({ format: 'jwk' }), kid: 'k' }, tests };
  });
  const { code, stdout } = await run('wycheproof', file('ml-dsa-jose.json', { testGroups: groups }));
  expect([code, stdout]).toEqual([0, expect.stringContaining('(kryoptic 6, softhsm 3): 9 passed, 0 failed, 0 skipped')]);
});

onKryoptic(
  'SLH-DSA, of which there is no file yet, in the form of ML-DSA',
  async () => {
    const { publicKey, privateKey } = generateKeyPairSync('slh-dsa-sha2-128s');
    const message = Buffer.from('a contract');
    const [msg, sig] = [message.toString('hex'), sign(null, message, privateKey).toString('hex')];
    const tests = [
      { tcId: 1, result: 'valid', msg, sig },
      { tcId: 2, result: 'valid', msg, sig, ctx: '' },
      { tcId: 3, result: 'invalid', msg, sig, ctx: '00' },
      { tcId: 4, result: 'invalid', msg, sig: sig.slice(2) },
      { tcId: 5, result: 'invalid', msg: `${msg}00`, sig },
    ];
    const group = {
      type: 'SlhDsaVerify',
      publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex'),
      tests,
    };
    const { code, stdout } = await run('wycheproof', file('slh.json', { algorithm: 'SLH-DSA-SHA2-128s', testGroups: [group] }));
    expect([code, stdout]).toEqual([0, expect.stringContaining('(kryoptic): 5 passed, 0 failed, 0 skipped')]);
  },
  30_000,
);

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
