import { randomUUID } from 'node:crypto';
import { renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { layout } from '@claviger/installation';
import { readMachine, until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { cast } from '../demo/cast';
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
