import { createPrivateKey, createPublicKey, createVerify, diffieHellman, generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Trust } from '@claviger/contracts';
import { encodeVerifierKey, rawEd25519PublicKey } from '@claviger/ledger';
import { readMachine, runCommand, type TemporaryFolder, temporaryFolder, until, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { cast } from '../demo/cast';
import { type System, startSystem } from './system';

let folder: TemporaryFolder;
let system: System;

beforeAll(async () => {
  folder = await temporaryFolder('cli-system');
  system = await startSystem('cli', { workers: 2 });
  for (const { id } of Object.values(cast)) writeFileSync(file(`${id}.token`), system.tokens[id] as string, { mode: 0o600 });
}, 180_000);
afterAll(async () => {
  await system?.stop();
  await folder?.remove();
}, 60_000);

const file = (name: string) => join(folder.path, name);
/** The command as its own process, with nothing of this one's environment but PATH and what is given. */
const as = (principal: string, ...args: string[]) =>
  runCommand(process.execPath, [join(workspaceRoot(), 'dist/apps/cli/main.js'), ...args], {
    allowFailure: true,
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: join(workspaceRoot(), '.claviger/compile-cache'),
      CLAVIGER_URL: system.stack.broker.url,
      CLAVIGER_TOKEN_FILE: file(`${principal}.token`),
      CLAVIGER_TRUST_FILE: system.stack.trustFile,
      XDG_STATE_HOME: file('state'),
    },
  });
async function ok(principal: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await as(principal, ...args);
  if (code !== 0) throw new Error(`claviger ${args.join(' ')} gave ${code}: ${stderr}`);
  return stdout;
}
const json = async <T>(principal: string, ...args: string[]): Promise<T> => JSON.parse(await ok(principal, '--json', ...args)) as T;

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

test('a key waits for its activation, protects, then only processes, and is of no use once it is compromised', async () => {
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
  const create = ['keys', 'create', 'cli/waits', '--consumer', 'payments-api', '--activate-at'];
  expect(await as('kim', ...create, 'tomorrow')).toMatchObject({ code: 64, stderr: expect.stringContaining('2027-01-31T08:00:00Z') });
  expect((await as('kim', ...create, '2020-01-01T00:00:00Z')).stderr).toMatch(/^ERR_MALFORMED_REQUEST/);
  const { keyId } = await json<{ keyId: string }>('kim', ...create, tomorrow);
  expect(await ok('kim', 'keys', 'describe', keyId)).toContain(`pre-activation until ${tomorrow}`);
  writeFileSync(file('waits'), 'forty-two');
  const encrypt = () => as('payments-api', 'encrypt', keyId, '--in', file('waits'), '--out', file('waits.jwe'));
  const decrypt = () => as('payments-api', 'decrypt', keyId, '--in', file('waits.jwe'), '--reveal');
  const change = (who: string, command: string, ...more: string[]) =>
    json(who, 'keys', command, keyId, '--reason', `to ${command}`, ...more);
  expect((await encrypt()).stderr).toMatch(/^ERR_KEY_STATE.*pre-activation/s);
  expect(await change('kim', 'activate')).toMatchObject({ confirmed: true });
  expect(await encrypt()).toMatchObject({ code: 0 });
  expect(await change('kim', 'deactivate')).toMatchObject({ confirmed: true });
  expect((await encrypt()).stderr).toMatch(/^ERR_KEY_STATE.*deactivated/s);
  expect((await decrypt()).stdout).toBe('forty-two');
  expect((await as('kim', 'keys', 'mark-compromised', keyId, '--reason', 'r', '--key-version', '2')).stderr).toMatch(/^ERR_NOT_FOUND/);
  expect(await change('sam', 'mark-compromised', '--key-version', '1')).toMatchObject({ confirmed: true });
  expect((await decrypt()).stderr).toMatch(/^ERR_KEY_STATE/);
  const { versions } = await json<{ versions: { transitions: { to: string; reason: string }[] }[] }>('kim', 'keys', 'describe', keyId);
  expect(versions[0]?.transitions.map(({ to, reason }) => [to, reason])).toEqual([
    ['pre-activation', 'created'],
    ['active', 'to activate'],
    ['deactivated', 'to deactivate'],
    ['compromised', 'to mark-compromised'],
  ]);
});

test('a key that waits for its deletion and is still asked for is an alert, and can be kept', async () => {
  const { keyId } = await json<{ keyId: string }>('kim', 'keys', 'create', 'cli/obsolete', '--consumer', 'payments-api');
  writeFileSync(file('wanted'), 'forty-two');
  await ok('payments-api', 'encrypt', keyId, '--in', file('wanted'), '--out', file('wanted.jwe'));
  await ok('kim', 'keys', 'schedule-deletion', keyId, '--reason', 'nobody needs it', '--wait-days', '7');
  const decrypt = () => as('payments-api', 'decrypt', keyId, '--in', file('wanted.jwe'), '--reveal');
  expect((await decrypt()).stderr).toMatch(/^ERR_KEY_PENDING_DELETION/);
  const alert = await until(
    async () => {
      const alerts = await json<Record<string, unknown>[]>('sam', 'alerts', 'list');
      return alerts.find((one) => one.detector === 'deletion-probe' && one.keyId === keyId);
    },
    { what: 'the alert', timeoutMs: 20_000 },
  );
  expect(alert).toMatchObject({ severity: 'high', principal: 'payments-api' });
  await ok('kim', 'keys', 'cancel-deletion', keyId, '--reason', 'payments needs it');
  await ok('sam', 'keys', 'resume', keyId, '--reason', 'payments needs it');
  expect((await decrypt()).stdout).toBe('forty-two');
});

/** As if so many days had gone by for this key. */
async function age(keyId: string, days: number): Promise<void> {
  await runCommand(process.execPath, ['tools/build.mjs', 'test/system/age-key.ts'], { cwd: workspaceRoot() });
  const { installationFolder, databasePrefix, storeUrl } = system.stack;
  const args = [installationFolder, readMachine().pkcs11.libraryPath, `${databasePrefix}keys`, keyId, String(days)];
  await runCommand(process.execPath, ['dist/test/system/age-key.js', ...args], {
    cwd: workspaceRoot(),
    env: { ...process.env, MONGODB_URL: storeUrl },
  });
}

test('keys rotate by themselves when their schedule has come: what was encrypted before decrypts, what is new has the new version', async () => {
  type Described = { primaryVersion: number; next?: { event: string; at: string } };
  const window = ['--time-zone', 'Europe/Berlin', '--window', 'Mon-Sun 00:00-24:00', '--jitter', '0m'];
  const create = (name: string, ...more: string[]) =>
    json<{ keyId: string }>('kim', 'keys', 'create', name, '--consumer', 'payments-api', ...more);
  const { keyId } = await create('cli/scheduled', '--every', '90d', ...window);
  const { keyId: signing } = await create('cli/scheduled-eddsa', '--algorithm', 'ED25519');
  const bad = ['keys', 'set-rotation', signing, '--reason', 'policy'];
  expect(await as('kim', ...bad, '--cron', '0 3,15 * * *')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('more than once a day'),
  });
  expect(await as('kim', ...bad)).toMatchObject({ code: 64 });
  expect((await as('sam', ...bad, '--none')).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  const set = await json<{ key: Described }>('kim', ...bad, '--every', '30d', ...window, '--at-end', 'deactivate');
  expect(set.key.next?.event).toBe('rotate');
  const described = async (id: string) => json<Described>('kim', 'keys', 'describe', id);
  expect(await ok('kim', 'keys', 'list')).toContain(`rotate ${(await described(keyId)).next?.at}`);

  writeFileSync(file('before'), 'forty-two');
  await ok('payments-api', 'encrypt', keyId, '--in', file('before'), '--out', file('before.jwe'));
  await ok('payments-api', 'sign', signing, '--in', file('before'), '--out', file('before.sig'));
  await age(keyId, 89);
  await age(signing, 31);
  const rotated = async (id: string) => (await described(id)).primaryVersion === 2;
  await until(() => rotated(signing), { what: 'the rotation of the signing key', timeoutMs: 40_000, everyMs: 500 });
  expect(await rotated(keyId)).toBe(false);
  await age(keyId, 1);
  await until(() => rotated(keyId), { what: 'the rotation', timeoutMs: 40_000, everyMs: 500 });

  const kidOf = (name: string) =>
    JSON.parse(Buffer.from(readFileSync(file(name), 'utf8').split('.')[0] as string, 'base64url').toString()).kid;
  expect(await ok('payments-api', 'decrypt', keyId, '--in', file('before.jwe'), '--reveal')).toBe('forty-two');
  await ok('payments-api', 'encrypt', keyId, '--in', file('before'), '--out', file('after.jwe'));
  expect([kidOf('before.jwe'), kidOf('after.jwe')]).toEqual([`${keyId}#1`, `${keyId}#2`]);
  expect(await ok('payments-api', 'decrypt', keyId, '--in', file('after.jwe'), '--reveal')).toBe('forty-two');
  await ok('payments-api', 'sign', signing, '--in', file('before'), '--out', file('after.sig'));
  await until(async () => (await ok('ada', 'audit', 'query', '--of', 'key-lifecycle')).includes('keys:Rotate'), {
    what: 'the rotation in the ledger',
    timeoutMs: 20_000,
    everyMs: 200,
  });
  expect((await described(keyId)).next?.event).toBe('rotate');
}, 180_000);

test('who answers for a key is said, changed and handed over', async () => {
  const said = ['--description', 'card numbers', '--team', 'payments'];
  const { keyId } = await json<{ keyId: string }>('kim', 'keys', 'create', 'cli/notes', ...said);
  expect(await json('kim', 'keys', 'describe', keyId)).toMatchObject({ description: 'card numbers', team: 'payments', owner: 'kim' });
  const update = ['keys', 'update', keyId, '--reason', 'reorganised', '--contact', 'rota payments', '--remove', 'team', '--tag', 'pci=yes'];
  await ok('kim', ...update);
  const { team, ...now } = await json<Record<string, unknown>>('kim', 'keys', 'describe', keyId);
  expect([team, now]).toEqual([undefined, expect.objectContaining({ contact: 'rota payments', tags: { pci: 'yes' } })]);
  expect(await as('kim', 'keys', 'update', keyId, '--reason', 'r', '--remove', 'owner')).toMatchObject({ code: 64 });
  expect((await as('kim', 'keys', 'set-owner', keyId, 'ada', '--reason', 'moved')).stderr).toMatch(/^ERR_ACCESS_DENIED/);
  await ok('sam', 'keys', 'set-owner', keyId, 'ada', '--reason', 'moved');
  expect(await json('kim', 'keys', 'describe', keyId)).toMatchObject({ owner: 'ada' });
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

test('policy in force is shown, exported, and published again unchanged', async () => {
  await ok('sam', 'policy', 'export', file('policies'));
  await ok('sam', 'policy', 'check', file('policies'));
  const before = await json<{ bundle: { revision: number } }>('sam', 'policy', 'show');
  const published = await json<{ revision: number }>('sam', 'policy', 'publish', file('policies'), '--reason', 'no change');
  expect(published.revision).toBe(before.bundle.revision + 1);
});

test('status asks every service; tokens renew; sessions are listed', async () => {
  const seen = await json<{ service: string; state: string }[]>('sam', 'status');
  expect(seen.map(({ state }) => state)).toEqual(Array(5).fill('answers'));
  await ok('sam', 'access', 'issue-token', '--out', file('sam.token'));
  expect(await ok('sam', 'access', 'sessions')).toContain('sam');
});
