import { randomUUID } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TokenStatement } from '@claviger/contracts';
import { layout } from '@claviger/installation';
import { builtProgram, readMachine, runCommand, until, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { MongoClient } from 'mongodb';
import { cast } from '../demo/cast';
import { CliCallers } from './cli-caller';
import { LedgerCopy } from './ledger';
import { codeIn, type RawCaller } from './raw-caller';
import { codeOf, type System, startSystem } from './system';

// SoftHSM alone has no second library; kryoptic is built where cargo is, and the set-up says so where it is not.
const onKryoptic = readMachine().kryoptic === undefined ? test.skip : test;
let system: System;
let caller: RawCaller;
let ledger: LedgerCopy;

beforeAll(async () => {
  system = await startSystem('away-token');
  caller = await system.raw('payments');
  ledger = new LedgerCopy(await system.as('ada'));
});
afterAll(() => system?.stop());

interface Readiness {
  ok: boolean;
  checks: { name: string; ok: boolean; detail: string }[];
}

onKryoptic('a worker starts without a further token that is away: keys in it are refused and nothing else, until it is there', async () => {
  const kim = await system.as('kim');
  const create = (name: string, algorithm: 'AES_256' | 'ML_DSA_65') => kim.keys.create({ name, algorithm, consumers: [cast.payments.id] });
  const aes = (await create('payments/near', 'AES_256')).keyId;
  const signer = (await create('payments/post-quantum', 'ML_DSA_65')).keyId;
  const encrypt = () => caller.ask('crypto.encrypt', { keyId: aes, plaintext: 'AAAA', requestId: randomUUID() });
  const sign = () => caller.ask('crypto.sign', { keyId: signer, message: 'AAAA', requestId: randomUUID() });
  expect([codeIn(await encrypt()), codeIn(await sign())]).toEqual(['OK', 'OK']);

  const store = layout(dirname(system.stack.trustFile)).kryopticStore('post-quantum');
  await system.service('crypto-worker').child.stop(25_000);
  renameSync(store, `${store}.away`);
  // Resolves once it is ready: for the keys of its first token it is.
  const worker = await system.stack.start('crypto-worker');
  await until(async () => codeIn(await encrypt()) === 'OK', { what: 'keys of the first token to be used', timeoutMs: 60_000 });
  const refused = await sign();
  expect({ code: codeIn(refused), text: JSON.stringify(refused) }).toEqual({
    code: 'ERR_HSM_UNAVAILABLE',
    text: expect.stringContaining('Token post-quantum could not be opened by this worker'),
  });
  expect(await codeOf(create('payments/another', 'ML_DSA_65'))).toBe('ERR_HSM_UNAVAILABLE');
  expect(await codeOf(create('payments/more', 'AES_256'))).toBe('OK');
  const readiness = (await (await fetch(`${worker.healthUrl}/health/ready`)).json()) as Readiness;
  expect(readiness.ok).toBe(true);
  expect(readiness.checks.filter(({ ok }) => !ok)).toEqual([
    { name: 'token post-quantum', ok: false, detail: expect.stringContaining('tried again by itself') },
  ]);
  expect(worker.child.logs()).toContain('token post-quantum of FURTHER_TOKENS_FILE could not be opened');

  renameSync(`${store}.away`, store);
  await until(async () => codeIn(await sign()) === 'OK', { what: 'keys of the further token to be used', timeoutMs: 60_000 });
  await ledger.verify(system.stack.trustFile);
  const told = ledger.records.filter(({ kind }) => kind === 'token').map(({ event, token }) => [event, token]);
  expect(told).toEqual([
    ['failing', 'post-quantum'],
    ['well', 'post-quantum'],
  ]);
});

test('all keys go to another token while they are used, whoever is killed meanwhile; workers need that one alone, and the old one is proven to hold nothing', async () => {
  const { stack } = system;
  const place = layout(stack.installationFolder);
  const cli = await CliCallers.start(system);
  const kim = await system.as('kim');
  const reason = ['--reason', 'the HSM is leased'];
  const workers = () => stack.services.filter(({ name, child }) => name === 'crypto-worker' && child.running());
  const keyIds = await Promise.all(
    (['AES_256', 'HMAC_SHA_256', 'EC_P256', 'RSA_2048'] as const).map(
      async (algorithm) =>
        (await kim.keys.create({ name: `move/${algorithm.toLowerCase()}`, algorithm, consumers: [cast.payments.id] })).keyId,
    ),
  );
  const resident = await kim.keys.create({ name: 'move/resident', algorithm: 'AES_256', residency: ['local'] });
  const [aes, hmac, ec, rsa] = keyIds as [string, string, string, string];
  const payments = await system.as('payments');
  const text = Buffer.from('as before');
  const before = {
    ciphertext: (await payments.crypto.encrypt({ keyId: aes, plaintext: text })).ciphertext,
    mac: (await payments.crypto.generateMac({ keyId: hmac, message: text })).mac,
  };
  const asBefore = async () => {
    expect(Buffer.from((await payments.crypto.decrypt({ keyId: aes, ciphertext: before.ciphertext })).plaintext)).toEqual(text);
    expect(await payments.crypto.verifyMac({ keyId: hmac, message: text, mac: before.mac })).toMatchObject({ valid: true });
    for (const keyId of [ec, rsa]) {
      const { signature } = await payments.crypto.sign({ keyId, message: text });
      expect(await payments.crypto.verify({ keyId, message: text, signature })).toMatchObject({ valid: true });
    }
  };

  expect((await cli.as('kim', 'keks', 'migrate', '--to-token', 'hsm-2', ...reason)).stderr).toMatch(/^ERR_NOT_FOUND.*FURTHER_TOKENS_FILE/s);
  const { libraryPath } = readMachine().pkcs11;
  const successor = ['bootstrap', 'successor', '--json', '--folder', place.folder, '--library', libraryPath, '--label', 'hsm-2'];
  const { stdout } = await runCommand(process.execPath, [join(workspaceRoot(), 'dist/apps/cli/main.js'), ...successor], {
    env: { PATH: process.env.PATH },
  });
  const { env, envAfter } = JSON.parse(stdout) as Record<'env' | 'envAfter', Record<string, string>>;
  // Who verifies what workers certify gets the certifier of the new token first.
  await stack.restart(system.service('audit'));
  await stack.start('crypto-worker', env);
  expect((await cli.as('kim', 'keks', 'migrate', '--to-token', 'hsm-2', ...reason)).stderr).toMatch(
    /^ERR_HSM_UNAVAILABLE.*without token hsm-2/s,
  );
  await stack.start('crypto-worker', { ...env, SITE_REGION: 'local' });
  await workers()[0]?.child.stop(25_000);
  await until(() => workers().length === 2, { what: 'the first worker to be gone' });

  const jobId = 'job_root-2-in-hsm-2';
  const traffic = { stopped: false, done: 0, errors: [] as string[] };
  const use = async () => {
    while (!traffic.stopped)
      try {
        const { ciphertext } = await payments.crypto.encrypt({ keyId: aes, plaintext: text });
        if (!text.equals((await payments.crypto.decrypt({ keyId: aes, ciphertext })).plaintext)) traffic.errors.push('another plaintext');
        traffic.done++;
      } catch (error) {
        traffic.errors.push(String(error));
      }
  };
  const using = [use(), use()];
  try {
    const begun = await until(
      async () => {
        const { code, stdout, stderr } = await cli.as('kim', '--json', 'keks', 'migrate', '--to-token', 'hsm-2', ...reason);
        // The worker that has gone is known as one that may serve until it is fenced.
        if (code !== 0 && !stderr.includes('ERR_WORKER_UNAVAILABLE')) throw new Error(stderr);
        return code === 0 && (JSON.parse(stdout) as { jobId: string });
      },
      { what: 'the job to begin', timeoutMs: 30_000 },
    );
    expect(begun.jobId).toBe(jobId);
    await system.service('key-lifecycle').child.kill9();
    await workers()[0]?.child.kill9();
    const store = await MongoClient.connect(stack.storeUrl);
    // What the one that was killed has in hand is free after 90 s, or now.
    await store
      .db(`${stack.databasePrefix}keys`)
      .collection('jobs')
      .updateMany({}, { $set: { claimedUntil: null } });
    await store.close();
    await stack.start('key-lifecycle');
    const listed = async () => (await kim.keys.listKeks()).keks.filter(({ state }) => state !== 'destroyed');
    await until(async () => (await listed()).every(({ token }) => token === 'hsm-2'), {
      what: 'all to be in the other token',
      timeoutMs: 60_000,
    });
    await kim.keys.create({ name: 'move/made-there', algorithm: 'AES_256' });
    const done = traffic.done;
    await until(() => traffic.done > done + 10, { what: 'keys to be used there' });
    await asBefore();

    const noOthers = cli.file('no-other-tokens.json');
    writeFileSync(noOthers, '[]');
    expect((await cli.as('kim', 'tokens', 'prove-empty', 'customer', ...reason)).stderr).toMatch(
      /^ERR_TOKEN_NOT_EMPTY.*root is in token customer and retiring/s,
    );
    const alone = await stack.start('crypto-worker', { ...envAfter, FURTHER_TOKENS_FILE: noOthers });
    for (const worker of workers()) if (worker !== alone) await worker.child.stop(25_000);
    const after = traffic.done;
    await until(() => traffic.done > after + 10, { what: 'keys to be used by a worker that has that token alone' });
  } finally {
    traffic.stopped = true;
    await Promise.all(using);
  }
  expect(traffic.errors).toEqual([]);
  await asBefore();
  expect(resident.keyId).toBeDefined();

  // The end of the old one: as if the minutes had gone by in which somebody may still have had its root in hand.
  await age(jobId);
  await until(async () => (await kim.keys.describeJob({ jobId })).state === 'done', { what: 'the job to be done', timeoutMs: 30_000 });
  await age('root');
  const [alone] = workers();
  await stack.start('crypto-worker', { ...envAfter, ...env });
  await alone?.child.stop(25_000);
  // The worker that has gone is known as one that may serve until it is fenced.
  const onceAllSay = (args: string[]) =>
    until(
      async () => {
        const { code, stdout, stderr } = await cli.as('kim', '--json', ...args, ...reason);
        if (code !== 0 && !stderr.includes('ERR_WORKER_UNAVAILABLE')) throw new Error(stderr);
        return code === 0 && (JSON.parse(stdout) as { said: TokenStatement });
      },
      { what: `all workers to say what the token is to them: ${args.join(' ')}`, timeoutMs: 30_000 },
    );
  await onceAllSay(['keks', 'destroy-root', 'root']);
  const file = cli.file('customer-is-empty.jws');
  const { said } = await onceAllSay(['tokens', 'prove-empty', 'customer', '--out', file]);
  expect(said).toMatchObject({ token: { label: 'customer' }, objects: 0, roots: [{ label: 'root' }], remaining: [] });
  expect(said.destroyed.map((one) => `${one.class} ${one.label}`).toSorted()).toEqual([
    'data claviger-canary',
    'private certifier',
    'public certifier',
  ]);
  expect(await cli.ok('ada', 'tokens', 'verify-statement', file)).toContain('customer');
  await asBefore();
  await kim.keys.create({ name: 'move/after', algorithm: 'AES_256' });
  await ledger.verify(stack.trustFile);
  const ofTheEnd = ledger.records.filter(({ kind }) => kind === 'token-emptying' || kind === 'token-emptied');
  expect(ofTheEnd).toMatchObject([
    { kind: 'token-emptying', token: 'customer', serialNumber: said.token.serialNumber, reason: 'the HSM is leased' },
    { kind: 'token-emptied', token: 'customer' },
  ]);
  await cli.stop();
}, 180_000);

/** As if a day had gone by for this job, or root. */
async function age(id: string): Promise<void> {
  const { installationFolder, databasePrefix, storeUrl } = system.stack;
  const args = [installationFolder, readMachine().pkcs11.libraryPath, `${databasePrefix}keys`, id, '1'];
  await runCommand(process.execPath, [await builtProgram('test/system/age-key.ts'), ...args], {
    cwd: workspaceRoot(),
    env: { ...process.env, MONGODB_URL: storeUrl },
  });
}
