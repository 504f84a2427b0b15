import { createPrivateKey, createPublicKey, createVerify, diffieHellman, generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Trust } from '@claviger/contracts';
import { encodeVerifierKey, rawEd25519PublicKey } from '@claviger/ledger';
import { readMachine, until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CliCallers, calling } from './cli-caller';
import { codeOf, type System, startSystem } from './system';

let system: System;
let cli: CliCallers;

beforeAll(async () => {
  system = await startSystem('cli', { workers: 2 });
  cli = await CliCallers.start(system);
}, 180_000);
afterAll(async () => {
  await system?.stop();
  await cli?.stop();
}, 60_000);

const { file, as, ok, json } = calling(() => cli);

test('the life of a key, from the command line', async () => {
  const { keyId } = await json<{ keyId: string }>(
    'kim',
    'keys',
    'create',
    'cli/archive',
    '--consumer',
    'payments-api',
    '--tag',
    'team=cli',
  );
  expect(await ok('kim', 'keys', 'list')).toContain('cli/archive');

  writeFileSync(file('plain'), randomBytes(150_000));
  await ok('payments-api', 'seal', keyId, '--in', file('plain'), '--out', file('sealed'), '--context', 'tenant=acme');
  await ok('payments-api', 'open', keyId, '--in', file('sealed'), '--out', file('opened'), '--context', 'tenant=acme');
  expect(readFileSync(file('opened'))).toEqual(readFileSync(file('plain')));
  const wrong = await as('payments-api', 'open', keyId, '--in', file('sealed'), '--out', file('wrong'), '--context', 'tenant=other');
  expect(wrong).toMatchObject({ code: 2, stdout: '' });
  expect(wrong.stderr).toMatch(/^ERR_DECRYPTION_FAILED/);
  expect(() => readFileSync(file('wrong'))).toThrow('ENOENT');

  writeFileSync(file('small'), 'forty-two');
  await ok('payments-api', 'encrypt', keyId, '--in', file('small'), '--out', file('small.jwe'));
  expect(await ok('payments-api', 'decrypt', keyId, '--in', file('small.jwe'), '--reveal')).toBe('forty-two');

  await ok('kim', 'keys', 'rotate', keyId, '--reason', 'yearly');
  expect(await ok('payments-api', 'decrypt', keyId, '--in', file('small.jwe'), '--reveal')).toBe('forty-two');
  expect(await json('sam', 'keys', 'suspend', keyId, '--reason', 'suspected misuse')).toMatchObject({ confirmed: true });
  const suspended = await as('payments-api', 'decrypt', keyId, '--in', file('small.jwe'), '--reveal');
  expect(suspended).toMatchObject({ code: 2, stdout: '' });
  expect(suspended.stderr).toMatch(/^ERR_KEY_SUSPENDED/);
  await ok('sam', 'keys', 'resume', keyId, '--reason', 'cleared');
});

test('a signature verifies, and not for other bytes', async () => {
  const { keyId } = await json<{ keyId: string }>(
    'kim',
    'keys',
    'create',
    'cli/sign',
    '--algorithm',
    'EC_P256',
    '--consumer',
    'payments-api',
  );
  writeFileSync(file('message'), 'hello');
  await ok('payments-api', 'sign', keyId, '--in', file('message'), '--out', file('signature'));
  expect(await ok('payments-api', 'verify', keyId, '--in', file('message'), '--signature-file', file('signature'))).toContain('valid');
  writeFileSync(file('message'), 'hullo');
  expect(await as('payments-api', 'verify', keyId, '--in', file('message'), '--signature-file', file('signature'))).toMatchObject({
    code: 1,
  });
});

const newKey = async (name: string, algorithm: string, usage?: string): Promise<string> => {
  const command = ['keys', 'create', name, '--algorithm', algorithm, '--consumer', 'payments-api', ...(usage ? ['--usage', usage] : [])];
  return (await json<{ keyId: string }>('kim', ...command)).keyId;
};

test('RSA signs with the scheme that is asked for, and its public key comes out as PEM', async () => {
  const keyId = await newKey('cli/rsa', 'RSA_2048');
  writeFileSync(file('message'), 'hello');
  await ok('payments-api', 'sign', keyId, '--in', file('message'), '--algorithm', 'RS256', '--out', file('signature'));
  const verify = ['verify', keyId, '--in', file('message'), '--signature-file', file('signature')];
  expect(await ok('payments-api', ...verify, '--algorithm', 'RS256')).toContain('valid');
  expect(await as('payments-api', ...verify)).toMatchObject({ code: 1 });
  await ok('payments-api', 'public-key', keyId, '--out', file('public.pem'));
  const signature = Buffer.from(readFileSync(file('signature'), 'utf8'), 'base64url');
  expect(
    createVerify('sha256')
      .update('hello')
      .verify(readFileSync(file('public.pem')), signature),
  ).toBe(true);
});

test('a MAC verifies, and not for other bytes', async () => {
  const keyId = await newKey('cli/mac', 'HMAC_SHA_256');
  writeFileSync(file('message'), 'hello');
  await ok('payments-api', 'mac', keyId, '--in', file('message'), '--out', file('mac'));
  expect(await ok('payments-api', 'verify-mac', keyId, '--in', file('message'), '--mac-file', file('mac'))).toContain('valid');
  writeFileSync(file('message'), 'hullo');
  expect(await as('payments-api', 'verify-mac', keyId, '--in', file('message'), '--mac-file', file('mac'))).toMatchObject({ code: 1 });
});

test('a key of ours is wrapped and comes back, and OpenSSL derives the same secret as the HSM', async () => {
  const wrapping = await newKey('cli/wrap', 'AES_256', 'wrap');
  writeFileSync(file('content-key'), randomBytes(32));
  await ok('payments-api', 'wrap-key', wrapping, '--in', file('content-key'), '--algorithm', 'A256KW', '--out', file('wrapped'));
  const unwrap = ['unwrap-key', wrapping, '--in', file('wrapped'), '--out', file('unwrapped')];
  await ok('payments-api', ...unwrap, '--algorithm', 'A256KW');
  expect(readFileSync(file('unwrapped'))).toEqual(readFileSync(file('content-key')));
  expect(await as('payments-api', ...unwrap)).toMatchObject({ code: 2 });

  const agreeing = await newKey('cli/agree', 'EC_P384', 'agree');
  const other = generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
  writeFileSync(file('other.pem'), other.publicKey.export({ format: 'pem', type: 'spki' }));
  await ok('payments-api', 'derive-shared-secret', agreeing, '--public-key', file('other.pem'), '--out', file('secret'));
  await ok('payments-api', 'public-key', agreeing, '--out', file('agreeing.pem'));
  const theirs = diffieHellman({ privateKey: other.privateKey, publicKey: createPublicKey(readFileSync(file('agreeing.pem'))) });
  expect(readFileSync(file('secret'))).toEqual(theirs);
});

test('an ECDSA signature in DER is what OpenSSL takes', async () => {
  const keyId = await newKey('cli/der', 'EC_P256');
  writeFileSync(file('message'), 'hello');
  await ok('payments-api', 'sign', keyId, '--in', file('message'), '--der', '--out', file('der'));
  expect(await ok('payments-api', 'verify', keyId, '--in', file('message'), '--signature-file', file('der'), '--der')).toContain('valid');
  await ok('payments-api', 'public-key', keyId, '--out', file('ec.pem'));
  const signature = Buffer.from(readFileSync(file('der'), 'utf8'), 'base64url');
  expect(
    createVerify('sha256')
      .update('hello')
      .verify(readFileSync(file('ec.pem')), signature),
  ).toBe(true);
});

test('re-encryption moves a ciphertext to another key, which then opens it; a dry run does nothing and exits 0', async () => {
  const [from, to] = await Promise.all([newKey('cli/from', 'AES_256'), newKey('cli/to', 'AES_128')]);
  writeFileSync(file('small'), 'forty-two');
  await ok('payments-api', 'encrypt', from, '--in', file('small'), '--out', file('from.jwe'));
  const move = ['re-encrypt', from, '--in', file('from.jwe'), '--to-key', to, '--to-context', 'tenant=acme', '--out', file('to.jwe')];
  const tried = await as('payments-api', ...move, '--dry-run');
  expect(tried).toMatchObject({ code: 0, stdout: '' });
  expect(tried.stderr).toContain('ERR_DRY_RUN');
  expect(() => readFileSync(file('to.jwe'))).toThrow('ENOENT');
  await ok('payments-api', ...move);
  expect(await ok('payments-api', 'decrypt', to, '--in', file('to.jwe'), '--context', 'tenant=acme', '--reveal')).toBe('forty-two');
});

test('a data key pair: what the key opens is the private half of the public one', async () => {
  const keyId = await newKey('cli/pairs', 'AES_256');
  const out = ['--out', file('pair.jwe'), '--public-out', file('pair.der')];
  await ok('payments-api', 'data-key-pair', keyId, '--algorithm', 'EC_P384', ...out);
  await ok('payments-api', 'decrypt', keyId, '--in', file('pair.jwe'), '--out', file('pair.pkcs8'));
  const pair = createPrivateKey({ key: readFileSync(file('pair.pkcs8')), format: 'der', type: 'pkcs8' });
  expect(createPublicKey(pair).export({ format: 'der', type: 'spki' })).toEqual(readFileSync(file('pair.der')));
});

test('a key that the token cannot wrap stays in it: another worker signs with it too, and what was never made is not', async () => {
  const keyId = await newKey('cli/eddsa', 'ED25519');
  expect((await json<{ versions: object[] }>('kim', 'keys', 'describe', keyId)).versions).toMatchObject([{ custody: 'token' }]);
  writeFileSync(file('message'), 'hello');
  await ok('payments-api', 'public-key', keyId, '--out', file('eddsa.pem'));
  const publicKey = readFileSync(file('eddsa.pem'));
  for (let n = 0; n < 4; n++) {
    await ok('payments-api', 'sign', keyId, '--in', file('message'), '--out', file('signature'));
    const signature = Buffer.from(readFileSync(file('signature'), 'utf8'), 'base64url');
    expect(verify(null, Buffer.from('hello'), publicKey, signature)).toBe(true);
  }
});

const [postQuantum, withoutPostQuantum] = readMachine().kryoptic === undefined ? [test.skip, test] : [test, test.skip];

postQuantum('post-quantum keys live in the further token: every worker signs and decapsulates with them', async () => {
  const signing = await newKey('cli/ml-dsa', 'ML_DSA_65');
  writeFileSync(file('message'), 'hello');
  await ok('payments-api', 'public-key', signing, '--out', file('ml-dsa.pem'));
  for (let n = 0; n < 4; n++) {
    await ok('payments-api', 'sign', signing, '--in', file('message'), '--out', file('signature'));
    const signature = Buffer.from(readFileSync(file('signature'), 'utf8'), 'base64url');
    expect(verify(null, Buffer.from('hello'), readFileSync(file('ml-dsa.pem')), signature)).toBe(true);
  }
  const kem = await newKey('cli/ml-kem', 'ML_KEM_768');
  for (let n = 0; n < 4; n++) {
    await ok('payments-api', 'encapsulate', kem, '--ciphertext-out', file('kem'), '--out', file('secret'));
    await ok('payments-api', 'decapsulate', kem, '--in', file('kem'), '--key-version', '1', '--out', file('same'));
    expect(readFileSync(file('same'))).toEqual(readFileSync(file('secret')));
  }
});

withoutPostQuantum('what no token can do is refused, and the token named', async () => {
  const refused = await as('kim', 'keys', 'create', 'cli/none', '--algorithm', 'ML_DSA_65');
  expect(refused).toMatchObject({ code: 3, stderr: expect.stringMatching(/^ERR_ALGORITHM_UNAVAILABLE.*customer/) });
});

test('a denial is exit 2 and says the code; it is in the ledger', async () => {
  const denied = await as('payments-api', 'keys', 'create', 'not/allowed');
  expect(denied.code).toBe(2);
  expect(denied.stderr).toMatch(/^ERR_ACCESS_DENIED/);
  await until(async () => (await ok('ada', 'audit', 'query', '--of', 'payments-api', '--outcome', 'denied')).includes('keys:Create'), {
    what: 'the denial in the ledger',
    timeoutMs: 20_000,
    everyMs: 200,
  });
});

test('the ledger verifies from its first leaf, then from where the last run stopped, and from the first again when asked or in doubt', async () => {
  type Told = { size: number; from: number; extends: number; problems: unknown[]; batches: number };
  const first = await json<Told>('ada', 'audit', 'verify');
  expect(first).toMatchObject({ problems: [], from: 0 });
  await ok('payments-api', 'random', '16', '--reveal');
  const again = await json<Told>('ada', 'audit', 'verify');
  expect(again).toMatchObject({ extends: first.size, from: first.size, problems: [] });
  expect(again.batches).toBeGreaterThan(first.batches);
  expect(await ok('ada', 'audit', 'verify', '--quick')).toContain('extends');
  expect(await json<Told>('ada', 'audit', 'verify', '--full')).toMatchObject({ extends: again.size, from: 0, problems: [] });
  const own = ['--state-file', file('doubted')];
  await ok('ada', 'audit', 'verify', ...own);
  writeFileSync(file('doubted.state'), '{}');
  const doubted = await as('ada', 'audit', 'verify', ...own);
  expect(doubted.code).toBe(0);
  expect(doubted.stderr).toMatch(/reading the whole ledger: .* is not what was kept/);
  expect(await json<Told>('ada', 'audit', 'verify', ...own)).toMatchObject({ problems: [] });
});

test('another trust file: the ledger is not believed, exit 1', async () => {
  const trust = JSON.parse(readFileSync(system.stack.trustFile, 'utf8')) as Trust;
  const { publicKey } = generateKeyPairSync('ed25519');
  const vkey = encodeVerifierKey(trust.ledger.origin, rawEd25519PublicKey(publicKey.export({ format: 'der', type: 'spki' })));
  writeFileSync(file('other-trust.json'), JSON.stringify({ ...trust, ledger: { ...trust.ledger, vkey } }));
  const { code, stderr } = await as(
    'ada',
    'audit',
    'verify',
    '--trust-file',
    file('other-trust.json'),
    '--state-file',
    file('other-state'),
  );
  expect(code).toBe(1);
  expect(stderr).toContain('not signed by the ledger');
  expect(() => readFileSync(file('other-state'))).toThrow('ENOENT');
});

test('a ceremony beside running services: its transcript is proved to be in the ledger once somebody has put it there', async () => {
  const where = ['--folder', system.stack.installationFolder, '--library', readMachine().pkcs11.libraryPath];
  const people = ['--threshold', '2', '--custodian', 'Ann', '--custodian', 'Ben', '--shares-to', file('shares')];
  const { transcript } = await json<{ transcript: string }>('olga', 'ceremony', ...where, ...people);
  const signed = ['--transcript', join(transcript, 'transcript.jws')];
  expect(await as('ada', 'ceremony', 'verify', ...signed)).toMatchObject({ code: 1, stderr: expect.stringContaining('no record') });
  const { digest } = await json<{ digest: string }>('olga', 'ceremony', 'record', ...signed);
  expect(await as('ada', 'ceremony', 'record', ...signed)).toMatchObject({ code: 2, stderr: expect.stringMatching(/^ERR_ACCESS_DENIED/) });
  type Verified = { digest: string; ledger: { recordedBy: string; index: number; size: number } };
  const verified = await until(
    async () => {
      const { code, stdout } = await as('ada', '--json', 'ceremony', 'verify', ...signed);
      return code === 0 ? (JSON.parse(stdout) as Verified) : undefined;
    },
    { what: 'the ceremony under a checkpoint', timeoutMs: 20_000, everyMs: 200 },
  );
  expect(verified).toMatchObject({ digest, ledger: { recordedBy: 'olga' } });
  expect(verified.ledger.index).toBeLessThan(verified.ledger.size);
  expect(await json('ada', 'audit', 'verify')).toMatchObject({ problems: [] });
});

test('policy in force is shown, exported, and published again unchanged', async () => {
  await ok('sam', 'policy', 'export', file('policies'));
  await ok('sam', 'policy', 'check', file('policies'));
  const before = await json<{ bundle: { revision: number } }>('sam', 'policy', 'show');
  const published = await json<{ revision: number }>('sam', 'policy', 'publish', file('policies'), '--reason', 'no change');
  expect(published.revision).toBe(before.bundle.revision + 1);
});

test('what runs is compared with a folder, a denial is explained from its record, and the ledger is decided anew by a candidate', async () => {
  expect(await ok('ada', 'policy', 'drift', file('policies'))).not.toContain('differs');
  const policies = join(file('policies'), 'policies.cedar');
  const before = readFileSync(policies, 'utf8');
  writeFileSync(policies, before.replace('@id("application-draws-random")', '@id("renamed")'));
  const drift = await as('ada', 'policy', 'drift', file('policies'));
  expect([drift.code, drift.stdout]).toEqual([1, expect.stringMatching(/policies +application-draws-random +only runs/)]);

  await as('payments-api', 'keys', 'list');
  const [denial] = await json<{ index: number }[]>(
    'ada',
    'audit',
    'query',
    '--of',
    'payments-api',
    '--action',
    'keys:List',
    '--limit',
    '1',
  );
  const explained = await as('ada', 'policy', 'explain', '--record', String(denial?.index));
  const why = explained.stdout;
  expect(why).toMatch(new RegExp(`^leaf ${denial?.index}, .*: DENIED since no policy permitted it of bundle revision \\d+\n`));
  expect(explained.stderr).toContain('which is still in force: this is why');
  expect(why).toContain('DENIED: payments-api → keys:List');
  expect(await ok('kim', 'policy', 'explain', '--action', 'keys:RotateRoot', '--no-mfa')).toContain(
    'missing: a second factor; with one it is allowed',
  );
  expect((await as('payments-api', 'policy', 'explain', '--action', 'keys:List')).stderr).toContain('ERR_ACCESS_DENIED');
  expect(why).toContain('missing for auditor-reads: the role auditor');

  const more = '\n@id("no-more") @control("c") forbid (principal, action == Claviger::Action::"crypto:Decrypt", resource);';
  writeFileSync(policies, before + more);
  const { decisions, changed } = await json<{ decisions: number; changed: { action: string; is: string; isBy: string[] }[] }>(
    'ada',
    'policy',
    'simulate',
    file('policies'),
    '--days',
    '1',
  );
  expect(decisions).toBeGreaterThan(10);
  expect(changed.length).toBeGreaterThan(0);
  expect(changed).toEqual(
    changed.map(() => expect.objectContaining({ action: 'crypto:Decrypt', was: 'allow', is: 'deny', isBy: ['no-more'] })),
  );
});

test('status asks every service; tokens renew; sessions are listed', async () => {
  const seen = await json<{ service: string; state: string }[]>('sam', 'status');
  expect(seen.map(({ state }) => state)).toEqual(Array(5).fill('answers'));
  await ok('sam', 'access', 'issue-token', '--out', file('sam.token'));
  expect(await ok('sam', 'access', 'sessions')).toContain('sam');
});

test('keys that sign tokens are read and rotated, services without an owner listed, and all sessions of somebody ended', async () => {
  const jwks = await json<{ keys: { kid: string }[]; signing: string }>('ada', 'access', 'jwks');
  expect(jwks.keys.map(({ kid }) => kid)).toContain(jwks.signing);
  const rotated = await json<{ kid: string }>('sam', 'access', 'rotate-signing-key', '--reason', 'yearly');
  expect((await json<typeof jwks>('ada', 'access', 'jwks')).keys.map(({ kid }) => kid)).toContain(rotated.kid);
  await ok('sam', 'access', 'issue-token', '--audience', 'https://vault.example', '--out', file('identity.token'));
  expect(await ok('ada', 'access', 'service-accounts', 'list', '--unowned')).toContain('payments-api');
  expect(await json('ada', 'access', 'service-accounts', 'list', '--owner', 'sam')).toEqual([]);
  expect(await as('ada', 'access', 'revoke-sessions', 'olga', '--reason', 'x')).toMatchObject({ code: 2 });
  expect(await ok('sam', 'access', 'revoke-sessions', 'olga', '--reason', 'left')).toContain('olga');
});

test('quotas are put in force with the policies; of many requests to two workers exactly the limit succeeds, and who used it is shown', async () => {
  const { keyId } = await json<{ keyId: string }>('kim', 'keys', 'create', 'cli/limited', '--consumer', 'payments-api');
  await ok('sam', 'policy', 'export', file('limited'));
  const quota = { id: 'macs', key: keyId, actions: ['crypto:Encrypt'], per: 'principal+key', limit: 150, window: 'day' };
  writeFileSync(file('limited/quotas.json'), JSON.stringify([quota]));
  await ok('sam', 'policy', 'publish', file('limited'), '--reason', 'no more than 150 a day');
  const payments = await system.as('payments', { timeoutMs: 30_000 });
  const inForce = () => payments.crypto.encrypt({ keyId, plaintext: Buffer.from('x') });
  const codes = await Promise.all(Array.from({ length: 600 }, () => codeOf(inForce())));
  expect(codes.filter((code) => code === 'OK')).toHaveLength(150);
  expect(new Set(codes)).toEqual(new Set(['OK', 'ERR_QUOTA_EXCEEDED']));
  expect(await ok('ada', 'quotas', 'list')).toMatch(/macs +150 a day +principal\+key .* 150 \(payments-api, k_/);
  expect(await json('ada', 'quotas', 'show', 'macs', '--key', keyId)).toMatchObject({
    ...{ quota, counts: [{ principal: 'payments-api', keyId, given: 150 }] },
  });
  const told = await until(
    async () => {
      const found = await json<{ record: object }[]>('ada', 'audit', 'query', '--kind', 'quota');
      return found.length > 0 ? found : undefined;
    },
    { what: 'the record of the first refusal', timeoutMs: 20_000, everyMs: 200 },
  );
  expect(told.map(({ record }) => record)).toMatchObject([{ event: 'exceeded', quota: 'macs', principal: 'payments-api', keyId }]);
  expect((await as('kim', 'quotas', 'list')).stderr).toMatch(/^ERR_ACCESS_DENIED/);
});
