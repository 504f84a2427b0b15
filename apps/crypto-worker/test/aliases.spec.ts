import { generateKeyPairSync, sign } from 'node:crypto';
import { cryptoOperations, type KeyView, ProblemError, type Result, requestType } from '@claviger/contracts';
import { type RecordedProblem, recordTypes, signRecord } from '@claviger/messaging';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { jetstream } from '@nats-io/jetstream';
import { codeOf } from './answers';
import { startWorker, type Worker } from './worker-under-test';

const type = requestType;
let w: Worker;
let caller: Awaited<ReturnType<Worker['caller']>>;
beforeAll(async () => {
  w = await startWorker();
}, 120_000);
afterAll(() => w.stop());
beforeEach(async () => {
  caller = await w.caller();
  w.said.byAction = undefined;
});

let names = 0;
const newName = () => `alias/cards/${names++}`;
const plaintext = Buffer.from('the plaintext').toString('base64url');
const encrypt = async (keyId: string) =>
  (await w.one.encrypt({ keyId, plaintext }, caller)).result as Result<(typeof cryptoOperations)['encrypt']>;
const decrypt = (keyId: string, ciphertext: string) => w.one.decrypt({ keyId, ciphertext }, caller);
const records = () => w.recordsOf(caller.session);
const keyed = (more: Partial<KeyView> = {}) => w.key('AES_256', more).then(w.put);

test('an alias names the key that it points to, in requests only: answer, ciphertext and record have the id of the key', async () => {
  const [first, second, name] = [await keyed(), await keyed(), newName()];
  await w.point(name, 1, first.keyId);
  const made = await encrypt(name);
  expect(made).toMatchObject({ keyId: first.keyId, version: 1 });
  expect(await decrypt(name, made.ciphertext)).toMatchObject({ result: { keyId: first.keyId, plaintext } });
  await w.point(name, 2, second.keyId);
  expect(await encrypt(name)).toMatchObject({ keyId: second.keyId });
  expect(await decrypt(first.keyId, made.ciphertext)).toMatchObject({ result: { keyId: first.keyId } });
  expect((await records()).map(({ keyId, alias, outcome }) => [keyId, alias, outcome])).toEqual([
    [first.keyId, name, 'success'],
    [first.keyId, name, 'success'],
    [second.keyId, name, 'success'],
    [first.keyId, undefined, 'success'],
  ]);
});

test('what was encrypted before an alias moved on does not open by it; the refusal says which key the ciphertext names', async () => {
  const [first, second, name] = [await keyed(), await keyed(), newName()];
  await w.point(name, 1, first.keyId);
  const { ciphertext } = await encrypt(name);
  await w.point(name, 2, second.keyId);
  const problem = await decrypt(name, ciphertext).then(
    () => undefined,
    (error: RecordedProblem) => error.problem,
  );
  expect(problem).toMatchObject({ code: 'ERR_DECRYPTION_FAILED' });
  expect(problem?.message).toContain(first.keyId);
  // By its id there is one failure, whatever is wrong.
  const plain = await decrypt(second.keyId, ciphertext).catch((error: RecordedProblem) => error.problem);
  expect(plain).toEqual(expect.objectContaining({ message: new ProblemError('ERR_DECRYPTION_FAILED').message }));
  const moved = await w.one.reEncrypt({ keyId: first.keyId, toKeyId: name, ciphertext }, caller);
  expect(moved.result).toMatchObject({ keyId: second.keyId, fromKeyId: first.keyId });
  expect((await records()).at(-1)).toMatchObject({ keyId: first.keyId, toKeyId: second.keyId, toAlias: name });
  expect(await codeOf(w.one.reEncrypt({ keyId: name, ciphertext }, caller))).toBe('ERR_DECRYPTION_FAILED');
});

test('policy is asked about the key, never about its name; a refusal is recorded with both', async () => {
  const [key, name] = [await keyed(), newName()];
  await w.point(name, 1, key.keyId);
  w.said.byAction = () => ({ kind: 'deny', code: 'no-permit', policyIds: [], reason: 'test' }) as never;
  expect(await codeOf(encrypt(name))).toBe('ERR_ACCESS_DENIED');
  expect(await records()).toMatchObject([{ outcome: 'denied', keyId: key.keyId, alias: name, action: 'crypto:Encrypt' }]);
});

test('suspended, a key is not used by its alias either', async () => {
  const [key, name] = [await keyed(), newName()];
  await w.point(name, 1, key.keyId);
  await encrypt(name);
  await w.put({ ...key, revision: 2, suspended: true });
  expect(await codeOf(encrypt(name))).toBe('ERR_KEY_SUSPENDED');
});

test('an alias that the watch has not delivered is read past it, and so is its key; one that there is not, or that was deleted, names none', async () => {
  const [key, name] = [await w.key(), newName()];
  await w.owner.put(key);
  await w.point(name, 1, key.keyId, { wait: false });
  expect(await encrypt(name)).toMatchObject({ keyId: key.keyId });
  expect(await codeOf(encrypt(newName()))).toBe('ERR_KEY_UNKNOWN');
  await w.point(name, 2);
  expect(await codeOf(encrypt(name))).toBe('ERR_KEY_UNKNOWN');
  expect((await records()).slice(1)).toMatchObject([{ outcome: 'failed' }, { outcome: 'failed', alias: name }]);
  w.said.byAction = (action) =>
    (action === 'keys:List' ? { kind: 'deny', code: 'no-permit', policyIds: [], reason: 'test' } : w.said.decision) as never;
  expect(await codeOf(encrypt(newName()))).toBe('ERR_ACCESS_DENIED');
  await w.point(name, 3, key.keyId);
  expect(await encrypt(name)).toMatchObject({ keyId: key.keyId });
});

test('an alias that moves on while the token works: what was made with the key of before is not given away', async () => {
  const [first, second, name] = [
    await w.put(await w.key('RSA_3072', { usage: 'sign' })),
    await w.put(await w.key('RSA_3072', { usage: 'sign' })),
    newName(),
  ];
  await w.point(name, 1, first.keyId);
  const request = { type, keyId: name, message: plaintext } as const;
  const signing = w.recorded.ofKey(cryptoOperations.sign, request, caller, async (key) => {
    const done = await w.operations.sign(request, key);
    await w.point(name, 2, second.keyId);
    return done;
  });
  expect(await codeOf(signing)).toBe('ERR_CONFLICT');
  expect((await w.one.sign({ keyId: name, message: plaintext }, caller)).result).toMatchObject({ keyId: second.keyId });
});

test('a record of an alias that its owner did not sign points nowhere: what the bucket holds is unknown, not absent', async () => {
  const [key, name] = [await keyed(), newName()];
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const rogue = { kid: 'control-1', sign: (input: Buffer) => sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }) };
  const record = { kind: 'alias', id: name, revision: 1, alias: name, keyId: key.keyId };
  await jetstream(w.keysOwner).publish(`$KV.keys.${name}`, signRecord(recordTypes.keys, record, rogue));
  expect(await codeOf(encrypt(name))).toBe('ERR_STATE_STALE');
});
