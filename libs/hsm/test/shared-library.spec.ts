import { readdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type KeyHandle, Token } from '../src/index';
import { caught, freshToken, openFresh } from './fresh-token';

const iv = Buffer.alloc(12, 1);
const none = Buffer.alloc(0);
const storage = dirname(readFileSync(process.env.SOFTHSM2_CONF!, 'utf8').match(/tokendir = (.*)/)![1]!);

let nowMs: number;
let away: Token;
let well: Token;
let key: KeyHandle;
let folder: string;
let finalised: number;
let mend: () => void;
beforeEach(() => {
  nowMs = 0;
  const fresh = freshToken();
  away = Token.open({ ...fresh, now: () => nowMs });
  away.createCanary();
  away.generateRootKey('root');
  well = openFresh({ now: () => nowMs });
  well.generateRootKey('root');
  key = aesOf(well);
  const label = Buffer.from(fresh.tokenLabel);
  const folders = readdirSync(join(storage, 'tokens'));
  folder = folders.find((name) => readFileSync(join(storage, 'tokens', name, 'token.object')).includes(label))!;
  // The binding of both: they are of one library.
  const { p11 } = Token.connectionOf(away);
  const native = p11.C_Finalize;
  finalised = 0;
  p11.C_Finalize = () => {
    finalised++;
    native.call(p11);
  };
  mend = () => {
    p11.C_Finalize = native;
  };
});
afterEach(() => {
  mend();
  away.close();
  well.close();
});

function aesOf(token: Token): KeyHandle {
  const wrappingKey = token.findTokenKey('root', 'secret');
  const made = token.generateWrapped({ algorithm: 'AES_256', wrappingKey });
  return token.unwrap({ ...made, algorithm: 'AES_256', wrappingKey, usage: 'encrypt' });
}
const encrypts = (token: Token, with_: KeyHandle) => token.encryptGcm(with_, iv, none, Buffer.from('x')).length;
const leave = () => renameSync(join(storage, 'tokens', folder), join(storage, folder));
const comeBack = () => renameSync(join(storage, folder), join(storage, 'tokens', folder));
/** A minute later, when every pause between attempts is over. */
const later = () => {
  nowMs += 60_000;
};

test('a token that stays away costs another token of its library nothing: neither sessions nor handles', async () => {
  const { generation } = well;
  leave();
  for (let n = 0; n < 4; n++) {
    expect(caught(() => away.findTokenKey('other', 'secret'))).toMatchObject({ code: 'HSM_UNAVAILABLE', token: away.label });
    await Token.connectionOf(away).restart.looking;
    expect(encrypts(well, key)).toBe(17);
    later();
  }
  comeBack();
  expect({ generation: well.generation, finalised }).toEqual({ generation, finalised: 0 });
});

test('once it is there again the library is restarted, once, for both; the other drops its handles and goes on', async () => {
  const { generation } = well;
  leave();
  expect(caught(() => away.findTokenKey('other', 'secret'))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
  await Token.connectionOf(away).restart.looking;
  comeBack();
  later();
  expect(caught(() => away.findTokenKey('root', 'secret'))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
  await Token.connectionOf(away).restart.looking;
  expect(away.findTokenKey('root', 'secret').algorithm).toBe('AES_256');
  expect(finalised).toBe(1);
  expect(well.generation).toBeGreaterThan(generation);
  expect(caught(() => encrypts(well, key))).toMatchObject({ code: 'HSM_SESSION_LOST', retryable: true });
  expect(encrypts(well, aesOf(well))).toBe(17);
  expect(encrypts(away, aesOf(away))).toBe(17);
});

test('while a call of the other is in flight the restart waits for it, and not longer', async () => {
  leave();
  expect(caught(() => away.findTokenKey('root', 'secret'))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
  await Token.connectionOf(away).restart.looking;
  comeBack();
  const { p11 } = Token.connectionOf(well);
  const native = p11.C_GenerateKeyPairAsync;
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  p11.C_GenerateKeyPairAsync = (...args) => released.then(() => native.apply(p11, args));
  const made = well.generateSessionKeyPairAsync('EC_P256');
  const tried = async () => {
    later();
    expect(caught(() => away.findTokenKey('root', 'secret'))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
    await Token.connectionOf(away).restart.looking;
  };
  for (let n = 0; n < 3; n++) await tried();
  expect({ works: encrypts(well, key), finalised }).toEqual({ works: 17, finalised: 0 });
  release();
  await made;
  p11.C_GenerateKeyPairAsync = native;
  if (!Token.connectionOf(away).restart.seen) await tried();
  expect(away.findTokenKey('root', 'secret').algorithm).toBe('AES_256');
  expect(finalised).toBe(1);
});

test('sessions that were lost are rebuilt without the others hearing of it', () => {
  const { generation } = well;
  const connection = Token.connectionOf(away);
  connection.p11.C_CloseSession(connection.ready().objects);
  expect(caught(() => away.findTokenKey('other', 'secret'))).toMatchObject({ code: 'HSM_SESSION_LOST' });
  expect(away.findTokenKey('root', 'secret').algorithm).toBe('AES_256');
  expect({ generation: well.generation, works: encrypts(well, key), finalised }).toEqual({ generation, works: 17, finalised: 0 });
});

test('a token that another process sees, and that no restart brings back, costs the others one restart and no more', async () => {
  const { p11 } = Token.connectionOf(away);
  const native = p11.C_GetSlotList;
  p11.C_GetSlotList = (present) => native.call(p11, present).filter((slot) => !p11.C_GetTokenInfo(slot).label.startsWith(away.label));
  p11.C_CloseSession(Token.connectionOf(away).ready().objects);
  for (let n = 0; n < 4; n++) {
    expect(caught(() => away.findTokenKey('root', 'secret'))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
    await Token.connectionOf(away).restart.looking;
    expect(encrypts(well, aesOf(well))).toBe(17);
    later();
  }
  expect(finalised).toBe(1);
  p11.C_GetSlotList = native;
  expect(away.findTokenKey('root', 'secret').algorithm).toBe('AES_256');
});
