import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { lookAfresh, Token } from '../src/index';
import { caught, freshToken, libraryPath, openFresh } from './fresh-token';

test('another process sees the token that is there, and none that is not; a library that hangs holds up only that process', async () => {
  const { tokenLabel } = freshToken();
  expect(await lookAfresh(libraryPath, tokenLabel)).toBe('seen');
  expect(await lookAfresh(libraryPath, tokenLabel.slice(0, -1))).toBe('not-seen');
  expect(await lookAfresh('/nowhere/library.so', tokenLabel)).toBe('not-seen');
  const folder = mkdtempSync(join(tmpdir(), 'claviger-hanging-'));
  try {
    // Who loads it waits for somebody to write into it.
    const hanging = join(folder, 'library.so');
    execFileSync('mkfifo', [hanging]);
    expect(await lookAfresh(hanging, tokenLabel, 1_000)).toBe('silent');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a token that came after its library was initialised is opened once another process has seen it; a token that is open goes on', async () => {
  const fresh = freshToken();
  const made = Token.open(fresh);
  made.createCanary();
  made.close();
  const storage = dirname(readFileSync(process.env.SOFTHSM2_CONF!, 'utf8').match(/tokendir = (.*)/)![1]!);
  const tokens = join(storage, 'tokens');
  const label = Buffer.from(fresh.tokenLabel);
  const folder = readdirSync(tokens).find((name) => readFileSync(join(tokens, name, 'token.object')).includes(label))!;
  renameSync(join(tokens, folder), join(storage, folder));
  const other = openFresh();
  expect(caught(() => Token.open(fresh))).toMatchObject({ code: 'HSM_TOKEN_NOT_FOUND' });
  renameSync(join(storage, folder), join(tokens, folder));
  const { generation } = other;
  expect(caught(() => Token.open(fresh))).toMatchObject({ code: 'HSM_TOKEN_NOT_FOUND' });
  expect(other.generation).toBe(generation);
  const late = Token.open({ ...fresh, seenAfresh: true });
  expect([late.random(8).length, other.random(8).length]).toEqual([8, 8]);
  expect(other.generation).toBeGreaterThan(generation);
  late.close();
  other.close();
});

test('after an answer to the PIN that is neither yes nor no it is not offered by itself again; once taken, it is', () => {
  const fresh = freshToken();
  const other = openFresh();
  const { p11 } = Token.connectionOf(other);
  const logIn = p11.C_Login;
  let logins = 0;
  const fails = (code: number) => {
    p11.C_Login = () => {
      logins++;
      throw Object.assign(new Error('CKR'), { code });
    };
  };
  try {
    fails(0x30);
    expect(caught(() => Token.open(fresh))).toMatchObject({ code: 'HSM_PIN_UNCERTAIN', retryable: false, ckr: 0x30 });
    // It was not judged.
    fails(0xe0);
    expect(caught(() => Token.open(fresh))).toMatchObject({ code: 'HSM_UNAVAILABLE', retryable: true });
    p11.C_Login = logIn;
    Token.open(fresh).close();
    fails(0x30);
    expect(caught(() => Token.open(fresh))).toMatchObject({ code: 'HSM_UNAVAILABLE', retryable: true });
    expect(logins).toBe(3);
  } finally {
    p11.C_Login = logIn;
    other.close();
  }
});
