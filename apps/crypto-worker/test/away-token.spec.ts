import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { FurtherTokens } from '@claviger/contracts';
import { initToken, Token } from '@claviger/hsm';
import { until } from '@claviger/testing';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { FurtherToken } from '../src/further-token';
import { openFurtherToken } from '../src/further-tokens';
import type { TokenEvent } from '../src/token-breaker';
import { Tokens } from '../src/tokens';
import { customerToken } from './worker-under-test';

const library = process.env.CLAVIGER_TEST_PKCS11 as string;
const storage = dirname(readFileSync(process.env.SOFTHSM2_CONF as string, 'utf8').match(/tokendir = (.*)/)?.[1] as string);
const tokensFolder = join(storage, 'tokens');
const keyLabel = 'key-of-the-further-token';

let folder: string;
let primary: Token;
const opened: FurtherToken[] = [];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-away-token-'));
  primary = customerToken();
});
afterEach(() => {
  for (const token of opened.splice(0)) token.close();
});
afterAll(() => {
  primary.close();
  rmSync(folder, { recursive: true });
});

const pinFile = (name: string, pin: string) => {
  const file = join(folder, name);
  writeFileSync(file, pin, { mode: 0o600 });
  return file;
};

/** A token with a key in it, beside the first one of the same library, and closed again. */
function madeToken() {
  const [label, pin] = [`f-${randomBytes(8).toString('hex')}`, randomBytes(8).toString('hex')];
  initToken(library, { label, soPin: randomBytes(8).toString('hex'), pin });
  const token = Token.open({ libraryPath: library, tokenLabel: label, pin });
  token.createCanary();
  token.generateTokenKeyPair(keyLabel, 'EC_P256');
  token.close();
  const name = readdirSync(tokensFolder).find((one) => readFileSync(join(tokensFolder, one, 'token.object')).includes(Buffer.from(label)));
  const [here, there] = [join(tokensFolder, name as string), join(storage, name as string)];
  return {
    pin,
    entry: { label, library, pinFile: pinFile(`${label}.pin`, pin) },
    /** So that the first token's library does not know it either. */
    leave: () => {
      renameSync(here, there);
      primary.close();
      primary = customerToken();
    },
    comeBack: () => renameSync(there, here),
  };
}

function further(entry: FurtherTokens[number]) {
  const [said, reported]: [string[], TokenEvent[]] = [[], []];
  let attempts = 0;
  const open = async () => {
    attempts++;
    return (await openFurtherToken(entry, { HSM_SESSIONS: 2, HSM_ANSWER_SECONDS: 2 })).token;
  };
  const logger = { log: (line: string) => said.push(`log: ${line}`), error: (line: string) => said.push(`error: ${line}`) };
  const token = new FurtherToken({ label: entry.label, open, probeEveryMs: 20, report: (event) => reported.push(event), logger });
  opened.push(token);
  const health = () => token.check.check() as { ok: boolean; detail: string };
  return { token, health, said, reported, attempts: () => attempts, tokens: new Tokens(primary, [token]) };
}
const failure = async (act: () => unknown): Promise<unknown> => {
  try {
    await act();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

/** As long as a token that is away takes for so many attempts. */
async function attemptsOfAnother(): Promise<void> {
  const other = further({ label: 'nowhere', library, pinFile: pinFile('nowhere.pin', 'a-pin') });
  await other.token.start();
  await until(() => other.attempts() > 2, { what: 'attempts to open a token that is away', timeoutMs: 30_000 });
}

/** How often a PIN is offered to any token of the library. */
function countLogins() {
  const { p11 } = Token.connectionOf(primary);
  const native = p11.C_Login;
  const restore = () => {
    p11.C_Login = native;
  };
  const counted = { logins: 0, answer: undefined as number | undefined, restore };
  p11.C_Login = (...args) => {
    counted.logins++;
    if (counted.answer !== undefined) throw Object.assign(new Error('CKR'), { code: counted.answer });
    native.apply(p11, args);
  };
  return counted;
}

test('a token that is away at the start refuses its own keys by name and nobody else’s; once it is there it is opened, tested and used', async () => {
  const { entry, leave, comeBack } = madeToken();
  leave();
  const { token, health, said, reported, tokens } = further(entry);
  await token.start();
  expect(health()).toEqual({
    ok: false,
    detail: expect.stringMatching(
      new RegExp(
        `^token ${entry.label} of FURTHER_TOKENS_FILE could not be opened, so its keys are refused; it is tried again.*Check the token label`,
      ),
    ),
  });
  expect(said).toEqual([`error: ${health().detail}`]);
  const unavailable = { code: 'ERR_HSM_UNAVAILABLE', detail: expect.stringContaining(entry.label) };
  expect(await failure(() => tokens.named(entry.label))).toMatchObject(unavailable);
  // Perhaps it can, and it is the first that can: neither is known now.
  expect(await failure(() => tokens.for('ML_DSA_65', 'sign'))).toMatchObject(unavailable);
  expect(tokens.for('AES_256', 'encrypt')).toBe(primary);
  expect(tokens.named(primary.label).random(8)).toHaveLength(8);

  comeBack();
  await until(() => health().ok, { what: 'the token to be opened', timeoutMs: 30_000 });
  const key = tokens.named(entry.label).findTokenKey(keyLabel, 'private');
  expect(tokens.named(entry.label).signDigest(key, 'ES256', Buffer.alloc(32))).toHaveLength(64);
  expect(primary.random(8)).toHaveLength(8);
  expect(await failure(() => tokens.for('ML_DSA_65', 'sign'))).toMatchObject({ code: 'ERR_ALGORITHM_UNAVAILABLE' });
  expect(reported.map(({ event, token: of }) => [event, of])).toEqual([
    ['failing', entry.label],
    ['well', entry.label],
  ]);
});

test('a wrong PIN is offered once and ends the worker at its start, which names the entry', async () => {
  const { entry } = madeToken();
  const counted = countLogins();
  const { token, attempts } = further({ ...entry, pinFile: pinFile('wrong.pin', 'not-the-pin') });
  expect(await failure(() => token.start())).toMatchObject({
    name: 'ConfigurationError',
    message: expect.stringMatching(new RegExp(`FURTHER_TOKENS_FILE: token ${entry.label}: the token refuses the PIN in its pinFile`)),
  });
  counted.restore();
  expect({ logins: counted.logins, attempts: attempts() }).toEqual({ logins: 1, attempts: 1 });
});

test('a token that comes back with another PIN is offered the old one once, and never again', async () => {
  const { entry, leave, comeBack } = madeToken();
  leave();
  const { token, health, said, attempts } = further({ ...entry, pinFile: pinFile('old.pin', 'the-old-pin') });
  await token.start();
  const counted = countLogins();
  comeBack();
  await until(() => health().detail.includes('not tried again'), { what: 'the PIN to be refused', timeoutMs: 30_000 });
  const after = attempts();
  await attemptsOfAnother();
  counted.restore();
  expect({ logins: counted.logins, attempts: attempts() }).toEqual({ logins: 1, attempts: after });
  expect(health()).toMatchObject({
    ok: false,
    detail: expect.stringMatching(/mend it, then restart this worker.*refuses the PIN in its pinFile/),
  });
  expect(said.slice(1)).toEqual([`error: ${health().detail}`]);
});

test('an answer to the PIN that may mean that it is wrong is not followed by another offer; the worker starts without the token', async () => {
  const { entry } = madeToken();
  const counted = countLogins();
  counted.answer = 0x30;
  // Never taken: with one that was, the trouble would be another.
  const { token, health, attempts } = further({ ...entry, pinFile: pinFile('another.pin', 'not-the-pin') });
  await token.start();
  await attemptsOfAnother();
  counted.restore();
  expect({ logins: counted.logins, attempts: attempts(), ok: health().ok }).toEqual({ logins: 1, attempts: 1, ok: false });
  expect(health().detail).toMatch(/it is not tried again: mend it, then restart this worker/);
});

test('a library that hangs is away, and holds up only the process that looks', async () => {
  const hanging = join(folder, 'hanging.so');
  execFileSync('mkfifo', [hanging]);
  let turns = 0;
  const turning = setInterval(() => turns++, 20);
  const entry = { label: 'far-away', library: hanging, pinFile: pinFile('far-away.pin', 'a-pin') };
  expect(await failure(() => openFurtherToken(entry, { HSM_SESSIONS: 2, HSM_ANSWER_SECONDS: 2 }))).toMatchObject({
    code: 'HSM_UNAVAILABLE',
  });
  clearInterval(turning);
  expect(turns).toBeGreaterThan(20);
});

test.each([
  ['a library that is none', { library: '/nowhere/library.so' }, 'its library cannot be loaded'],
  ['a PIN file that is not there', { pinFile: '/nowhere/pin' }, 'its pinFile must be a file'],
])('%s ends the worker at its start, which names the entry', async (_, wrong, said) => {
  const { token } = further({ label: 'pq', library, pinFile: pinFile('pq.pin', 'a-pin'), ...wrong });
  expect(await failure(() => token.start())).toMatchObject({
    name: 'ConfigurationError',
    message: expect.stringContaining(`FURTHER_TOKENS_FILE: token pq: ${said}`),
  });
});
