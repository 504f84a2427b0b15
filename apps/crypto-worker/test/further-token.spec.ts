import { HsmError, Token } from '@claviger/hsm';
import { until } from '@claviger/testing';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { FurtherToken } from '../src/further-token';
import type { TokenEvent } from '../src/token-breaker';
import { Tokens } from '../src/tokens';
import { customerToken } from './worker-under-test';

let primary: Token;
let token: Token;
let said: string[];
let reported: TokenEvent[];
let further: FurtherToken;
let tokens: Tokens;
beforeEach(() => {
  primary = customerToken();
  said = [];
  reported = [];
});
afterEach(() => {
  further.close();
  primary.close();
});

async function watched(distance: 'near' | 'far'): Promise<void> {
  token = customerToken(distance);
  const logger = { log: (line: string) => said.push(`log: ${line}`), error: (line: string) => said.push(`error: ${line}`) };
  further = new FurtherToken({
    label: token.label,
    open: async () => token,
    probeEveryMs: 10,
    report: (event) => reported.push(event),
    logger,
  });
  tokens = new Tokens(primary, [further]);
  await further.start();
}
const health = () => further.check.check() as { ok: boolean; detail: string };
const codeOf = (act: () => unknown): string => {
  try {
    act();
    return 'OK';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test('health says what the last probe said and asks the token nothing; its keys are refused, with its name, until it passes again', async () => {
  await watched('near');
  expect(health()).toEqual({ ok: true, detail: `token ${token.label} (softhsm) is well` });
  const { p11 } = Token.connectionOf(token);
  const native = p11.C_GenerateRandom;
  let probes = 0;
  p11.C_GenerateRandom = () => {
    probes++;
    throw Object.assign(new Error('CKR_FUNCTION_FAILED:6'), { code: 6 });
  };
  await until(() => !health().ok, { what: 'a probe that fails' });
  expect(health().detail).toMatch(
    new RegExp(`token ${token.label} fails, so its keys are refused; it is probed every 0.01 s.*random failed.*`),
  );
  const before = probes;
  for (let n = 0; n < 20; n++) health();
  expect(probes).toBe(before);
  expect(() => tokens.named(token.label)).toThrow(
    expect.objectContaining({ code: 'ERR_HSM_UNAVAILABLE', detail: expect.stringContaining(token.label) }),
  );
  // What it could do is not known while it fails; what a token before it can do is.
  expect(codeOf(() => tokens.for('ML_DSA_65', 'sign'))).toBe('ERR_HSM_UNAVAILABLE');
  expect(tokens.for('AES_256', 'encrypt')).toBe(primary);
  p11.C_GenerateRandom = native;
  await until(() => health().ok, { what: 'a probe that passes' });
  expect(tokens.named(token.label)).toBe(token);
  expect(codeOf(() => tokens.for('ML_DSA_65', 'sign'))).toBe('ERR_ALGORITHM_UNAVAILABLE');
  expect(said).toEqual([
    expect.stringMatching(new RegExp(`^error: token ${token.label} fails, so its keys are refused`)),
    `log: token ${token.label} passes its probe; its keys are used again`,
  ]);
  const of = { token: token.label, since: expect.stringMatching(/Z$/) };
  expect(reported).toEqual([
    { ...of, event: 'failing', detail: expect.stringContaining('random failed') },
    { ...of, event: 'well', detail: 'it passed its probe' },
  ]);
  expect({ refuses: further.refuses, openings: further.openings }).toEqual({ refuses: false, openings: 1 });
});

test('a far token that hangs holds up nobody: it is probed off the event loop, and no more calls are added to those that hang', async () => {
  await watched('far');
  const { p11 } = Token.connectionOf(token);
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const [decrypt, find] = [p11.C_DecryptAsync, p11.C_FindObjectsInit];
  let begun = 0;
  p11.C_DecryptAsync = async (...args) => {
    begun++;
    await released;
    return decrypt.apply(p11, args);
  };
  p11.C_FindObjectsInit = () => {
    throw new HsmError('HSM_UNAVAILABLE', 'it would hang');
  };
  await until(() => !health().ok, { what: 'a probe that is given up' });
  expect([begun, further.hanging]).toEqual([1, 1]);
  expect(codeOf(() => tokens.named(token.label))).toBe('ERR_HSM_UNAVAILABLE');
  expect(health().detail).toMatch(/did not answer|has not answered/);
  release();
  await until(() => health().ok, { what: 'a probe that passes' });
  [p11.C_DecryptAsync, p11.C_FindObjectsInit] = [decrypt, find];
});

test('sessions that were lost are rebuilt, which is no failure', async () => {
  await watched('near');
  const connection = Token.connectionOf(token);
  const { generation } = token;
  connection.p11.C_CloseSession(connection.ready().objects);
  await until(() => token.generation > generation, { what: 'new sessions' });
  expect({ ok: health().ok, said }).toEqual({ ok: true, said: [] });
  expect(reported).toEqual([]);
});
