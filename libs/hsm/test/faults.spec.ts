import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { type KeyHandle, Token } from '../src/index';
import { caught, freshToken, libraryPath, openFresh } from './fresh-token';
import { runInOtherProcess } from './other-process';

const iv = Buffer.alloc(12, 1);
const none = Buffer.alloc(0);

function tokenWithKek() {
  const token = openFresh();
  token.generateRootKey('root');
  const { wrapped, mechanism } = token.generateKek(token.findTokenKey('root', 'secret'));
  const unwrapFor = (usage: 'encrypt' | 'wrap'): KeyHandle =>
    token.unwrap({ wrapped, mechanism, algorithm: 'AES_256', wrappingKey: token.findTokenKey('root', 'secret'), usage });
  return { token, unwrapFor };
}

const closeUnderneath = (token: Token, which: 'objects' | 'operations') => {
  const connection = Token.connectionOf(token);
  connection.p11.C_CloseSession(connection.ready()[which]);
};

test.each(['operations', 'objects'] as const)(
  'a closed %s session is rebuilt: the call fails as retryable, old handles are dropped, the next works',
  (which) => {
    const { token, unwrapFor } = tokenWithKek();
    const key = unwrapFor('encrypt');
    const { generation } = token;
    closeUnderneath(token, which);
    expect(caught(() => token.encryptGcm(key, iv, none, Buffer.from('x')))).toMatchObject({ code: 'HSM_SESSION_LOST', retryable: true });
    expect(token.generation).toBe(generation + 1);
    expect(caught(() => token.encryptGcm(key, iv, none, Buffer.from('x')))).toMatchObject({ code: 'HSM_SESSION_LOST', ckr: undefined });
    const again = unwrapFor('encrypt');
    expect(token.decryptGcm(again, iv, none, token.encryptGcm(again, iv, none, Buffer.from('x')))).toEqual(Buffer.from('x'));
    token.close();
  },
);

test('a search on a closed session is repaired, not read as "no such key"', () => {
  const { token } = tokenWithKek();
  closeUnderneath(token, 'objects');
  expect(caught(() => token.findTokenKey('unknown', 'private'))).toMatchObject({ code: 'HSM_SESSION_LOST' });
  expect(caught(() => token.findTokenKey('unknown', 'private'))).toMatchObject({ code: 'HSM_KEY_NOT_FOUND' });
  expect(token.findTokenKey('root', 'secret').algorithm).toBe('AES_256');
  token.close();
});

test('a destroyed handle costs one generation: the call fails as retryable, and destroying it again does nothing', () => {
  const { token, unwrapFor } = tokenWithKek();
  const key = unwrapFor('encrypt');
  token.destroyObject(key);
  expect(caught(() => token.encryptGcm(key, iv, none, Buffer.from('x')))).toMatchObject({ code: 'HSM_SESSION_LOST', ckr: 0x82 });
  expect(() => token.destroyObject(key)).not.toThrow();
  token.close();
});

test('a C_Logout elsewhere in the process is noticed and mended with one login', () => {
  const { token, unwrapFor } = tokenWithKek();
  const key = unwrapFor('encrypt');
  const connection = Token.connectionOf(token);
  connection.p11.C_Logout(connection.ready().objects);
  expect(caught(() => token.encryptGcm(key, iv, none, Buffer.from('x')))).toMatchObject({ code: 'HSM_SESSION_LOST' });
  expect(token.encryptGcm(unwrapFor('encrypt'), iv, none, Buffer.from('x'))).toHaveLength(17);
  token.close();
});

test('when the PIN was changed underneath, the reconnect offers the old one once and never again', () => {
  const fresh = freshToken();
  let nowMs = 0;
  const token = Token.open({ ...fresh, now: () => nowMs });
  const connection = Token.connectionOf(token);
  connection.p11.C_SetPIN(connection.ready().objects, fresh.pin, 'another-pin');
  let logins = 0;
  const logIn = connection.p11.C_Login.bind(connection.p11);
  connection.p11.C_Login = (...args) => {
    logins++;
    logIn(...args);
  };
  closeUnderneath(token, 'operations');
  closeUnderneath(token, 'objects');
  for (const atMs of [0, 60_000, 120_000]) {
    nowMs = atMs;
    expect(caught(() => token.findTokenKey('root', 'secret'))).toMatchObject({ code: 'HSM_PIN_INCORRECT', retryable: false });
  }
  expect(logins).toBe(1);
  connection.p11.C_Login = logIn;
  token.close();
});

test('when one token restarts the library, the others drop their handles and go on', () => {
  const { token, unwrapFor } = tokenWithKek();
  const other = tokenWithKek();
  const [key, otherKey] = [unwrapFor('encrypt'), other.unwrapFor('encrypt')];
  const { p11 } = Token.connectionOf(token);
  p11.C_Finalize();
  expect(caught(() => token.encryptGcm(key, iv, none, Buffer.from('x')))).toMatchObject({ code: 'HSM_SESSION_LOST', ckr: 0x190 });
  // By now the number of the other's handle may name an object of the first token.
  expect(caught(() => other.token.encryptGcm(otherKey, iv, none, Buffer.from('x')))).toMatchObject({
    code: 'HSM_SESSION_LOST',
    ckr: undefined,
  });
  expect(token.encryptGcm(unwrapFor('encrypt'), iv, none, Buffer.from('x'))).toHaveLength(17);
  expect(other.token.encryptGcm(other.unwrapFor('encrypt'), iv, none, Buffer.from('x'))).toHaveLength(17);
  token.close();
  other.token.close();
});

test('a token whose folder is gone is unavailable, never without keys, and comes back with its keys', () => {
  const storage = dirname(readFileSync(process.env.SOFTHSM2_CONF!, 'utf8').match(/tokendir = (.*)/)![1]!);
  const tokens = join(storage, 'tokens');
  const before = new Set(readdirSync(tokens));
  let nowMs = 0;
  const fresh = freshToken();
  const token = Token.open({ ...fresh, now: () => nowMs });
  token.createCanary();
  token.generateRootKey('root');
  const label = Buffer.from(fresh.tokenLabel);
  const folder = readdirSync(tokens).find((name) => !before.has(name) && readFileSync(join(tokens, name, 'token.object')).includes(label))!;
  expect(statSync(join(tokens, folder)).isDirectory()).toBe(true);

  renameSync(join(tokens, folder), join(storage, folder));
  expect(caught(() => token.findTokenKey('other', 'secret'))).toMatchObject({ code: 'HSM_UNAVAILABLE', retryable: true });
  expect(caught(() => token.generateRootKey('other'))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
  expect(caught(() => token.random(8))).toMatchObject({ code: 'HSM_UNAVAILABLE' });

  renameSync(join(storage, folder), join(tokens, folder));
  expect(caught(() => token.findTokenKey('root', 'secret'))).toMatchObject({ code: 'HSM_UNAVAILABLE' });
  nowMs = 60_000;
  expect(token.findTokenKey('root', 'secret').algorithm).toBe('AES_256');
  token.close();
});

test('when the whole storage is away, nothing is absent and nothing is created; it recovers when the storage is back', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-away-'));
  writeFileSync(join(folder, 'softhsm2.conf'), `directories.tokendir = ${folder}/tokens\nlog.level = ERROR\n`);
  try {
    const answers = await runInOtherProcess('storage-away', { libraryPath, folder }, { SOFTHSM2_CONF: join(folder, 'softhsm2.conf') });
    expect(answers).toEqual({
      before: 'fine',
      searchAway: 'HSM_UNAVAILABLE',
      createAway: 'HSM_UNAVAILABLE',
      unwrapAway: 'HSM_UNAVAILABLE',
      openAway: 'HSM_UNAVAILABLE',
      tooSoon: 'HSM_UNAVAILABLE',
      back: 'fine',
      oldIsNew: 'true',
      onlyOneRoot: 'HSM_KEY_NOT_FOUND',
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
