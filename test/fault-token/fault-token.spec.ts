import { createTokens, type TemporaryFolder, temporaryFolder, until } from '@claviger/testing';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { FaultToken } from './fault-token';
import { type RemoteToken, startRemoteToken } from './remote-token';

let folder: TemporaryFolder;
let faults: FaultToken;
let token: RemoteToken;

beforeAll(async () => {
  folder = await temporaryFolder('fault-token-spec');
  faults = await FaultToken.start();
  const made = await createTokens(folder.path, { labels: ['faulty'] });
  const env = { SOFTHSM2_CONF: made.env.SOFTHSM2_CONF, ...faults.env };
  token = await startRemoteToken(env, { libraryPath: faults.libraryPath, label: 'faulty', pin: made.pins.faulty as string });
  expect(await token.ask('open')).toMatchObject({ code: 'OK' });
});
afterEach(() => faults.clear());
afterAll(async () => {
  await token?.stop();
  await faults?.stop();
  await folder?.remove();
});

test('with nothing commanded every call reaches the real token, and is counted', async () => {
  const before = faults.calls('C_Encrypt');
  expect(await token.ask('encryptTwice')).toMatchObject({ code: 'OK' });
  expect(faults.calls('C_Encrypt') - before).toBe(2);
  expect(await token.ask('findMissing')).toMatchObject({ code: 'HSM_KEY_NOT_FOUND' });
});

test('a code is returned so many times, by the chosen function only', async () => {
  faults.fail('C_EncryptInit', 0x31, { times: 1 });
  expect(await token.ask('random')).toMatchObject({ code: 'OK' });
  expect(await token.ask('encrypt')).toMatchObject({ code: 'HSM_CAPACITY', ckr: 0x31 });
  expect(await token.ask('encrypt')).toMatchObject({ code: 'OK' });
  expect(faults.failed('C_EncryptInit')).toBe(1);
});

test('a code is returned until it is cleared', async () => {
  faults.fail('C_GenerateRandom', 0x2);
  for (let n = 0; n < 3; n++) expect(await token.ask('random')).toMatchObject({ code: 'HSM_CAPACITY', ckr: 0x2 });
  faults.clear();
  expect(await token.ask('random')).toMatchObject({ code: 'OK' });
});

test('one call of several fails', async () => {
  faults.fail('C_GenerateRandom', 0x31, { every: 3 });
  const codes: string[] = [];
  for (let n = 0; n < 6; n++) codes.push((await token.ask('random')).code);
  expect(codes).toEqual(['OK', 'OK', 'HSM_CAPACITY', 'OK', 'OK', 'HSM_CAPACITY']);
});

test('an operation that fails is over: the next one on the session is not refused as active', async () => {
  faults.fail('C_Encrypt', 0x31, { times: 1 });
  expect(await token.ask('encryptTwice')).toMatchObject({ code: 'HSM_CAPACITY', ckr: 0x31 });
  expect(await token.ask('encryptTwice')).toMatchObject({ code: 'OK' });
});

test('a decryption that fails once for no reason is no bad tag, and a bad tag is one', async () => {
  for (const code of [0x5, 0x6]) {
    faults.fail('C_Decrypt', code, { times: 1 });
    expect(await token.ask('decrypt')).toMatchObject({ code: 'OK' });
  }
  faults.fail('C_Decrypt', 0x30, { times: 1 });
  expect(await token.ask('decrypt')).toMatchObject({ code: 'HSM_OPERATION_FAILED', ckr: 0x30 });
  expect(await token.ask('decryptForged')).toMatchObject({ code: 'HSM_AUTHENTICATION_FAILED' });
});

test('a session that is said to be gone is rebuilt, although the real one lives', async () => {
  expect(await token.ask('encrypt')).toMatchObject({ code: 'OK' });
  faults.fail('C_EncryptInit', 0xb3, { times: 1 });
  expect(await token.ask('encrypt')).toMatchObject({ code: 'HSM_SESSION_LOST', ckr: 0xb3 });
  expect(await token.ask('encrypt')).toMatchObject({ code: 'OK' });
});

test('latency holds back the chosen function, and can be taken back while it sleeps', async () => {
  faults.latency('C_GenerateRandom', 600_000_000);
  const asked = token.ask('random');
  await until(() => faults.waiting('C_GenerateRandom') === 1, { what: 'the call to sleep' });
  faults.latency('C_GenerateRandom', 0);
  expect(await asked).toMatchObject({ code: 'OK' });
  faults.latency('C_GenerateRandom', 20_000);
  expect((await token.ask('random')).tookMs).toBeGreaterThanOrEqual(20);
});

test('a synchronous call that hangs holds the event loop, and goes on when it is released', async () => {
  faults.hang('C_GenerateRandom', { times: 1 });
  const order: string[] = [];
  const asked = token.ask('random').then(({ code }) => order.push(`random ${code}`));
  await until(() => faults.waiting('C_GenerateRandom') === 1, { what: 'the call to hang' });
  const after = token.ask('find').then(({ code }) => order.push(`find ${code}`));
  faults.release('C_GenerateRandom');
  await Promise.all([asked, after]);
  expect(order).toEqual(['random OK', 'find OK']);
});

test('an asynchronous call that hangs holds up nobody else', async () => {
  faults.hang('C_Sign', { times: 1 });
  const asked = token.ask('signAsync');
  await until(() => faults.waiting('C_Sign') === 1, { what: 'the call to hang' });
  expect(await token.ask('encrypt')).toMatchObject({ code: 'OK' });
  expect(faults.waiting('C_Sign')).toBe(1);
  faults.release('C_Sign');
  expect(await asked).toMatchObject({ code: 'OK' });
});

test('a removed token: unavailable, nothing absent and nothing made, and back with its keys but without its sessions', async () => {
  expect(await token.ask('encrypt')).toMatchObject({ code: 'OK' });
  faults.vanish('removed');
  expect(await token.ask('encrypt')).toMatchObject({ code: 'HSM_UNAVAILABLE' });
  for (const call of ['findMissing', 'create', 'random', 'signAsync'] as const)
    expect([call, (await token.ask(call)).code]).toEqual([call, 'HSM_UNAVAILABLE']);
  faults.comeBack();
  expect(await token.ask('encrypt')).toMatchObject({ code: 'OK' });
  expect(await token.ask('find')).toMatchObject({ code: 'OK' });

  // Away and back between two calls: only the dead sessions tell.
  faults.vanish('removed');
  faults.comeBack();
  expect(await token.ask('encrypt')).toMatchObject({ code: 'HSM_SESSION_LOST' });
  expect(await token.ask('encrypt')).toMatchObject({ code: 'OK' });
});

test('a token that falls silent, as SoftHSM without its folder: searches find nothing, and nothing is called absent', async () => {
  expect(await token.ask('encrypt')).toMatchObject({ code: 'OK' });
  faults.vanish('silent');
  expect(await token.ask('encrypt')).toMatchObject({ code: 'OK' });
  expect(await token.ask('findMissing')).toMatchObject({ code: 'HSM_UNAVAILABLE' });
  faults.comeBack();
  expect(await token.ask('find')).toMatchObject({ code: 'OK' });
  expect(await token.ask('findMissing')).toMatchObject({ code: 'HSM_KEY_NOT_FOUND' });
});
