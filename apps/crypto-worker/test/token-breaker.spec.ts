import { HsmError, type HsmErrorCode } from '@claviger/hsm';
import { until } from '@claviger/testing';
import { afterEach, expect, test } from '@jest/globals';
import { TokenBreaker, type TokenEvent } from '../src/token-breaker';

const error = (code: HsmErrorCode) => new HsmError(code, 'Token customer: encrypt failed');
const opened: TokenBreaker[] = [];
afterEach(() => {
  for (const breaker of opened.splice(0)) breaker.stop();
});

function breakerOf() {
  const said: string[] = [];
  const reported: TokenEvent[] = [];
  const token = { well: false, probes: 0 };
  const breaker = new TokenBreaker({
    token: 'customer',
    probe: () => {
      token.probes++;
      if (!token.well) throw error('HSM_UNAVAILABLE');
    },
    report: (event) => reported.push(event),
    limits: { failures: 3, windowMs: 60_000, probeEveryMs: 10 },
    logger: { log: (line: string) => said.push(`log: ${line}`), error: (line: string) => said.push(`error: ${line}`) },
  });
  opened.push(breaker);
  const fail = (code: HsmErrorCode, times: number) => {
    for (let n = 0; n < times; n++) breaker.observe(error(code));
  };
  return { breaker, token, said, reported, fail };
}

test('a token that fails again and again is asked nothing, said in the log and in health with what to do, and used again once it passes a probe', async () => {
  const { breaker, token, said, reported, fail } = breakerOf();
  fail('HSM_SESSION_LOST', 2);
  expect(() => breaker.assertClosed()).not.toThrow();
  expect(breaker.check()).toEqual({ ok: true, detail: 'requests reach token customer' });
  fail('HSM_UNAVAILABLE', 1);
  expect(() => breaker.assertClosed()).toThrow(expect.objectContaining({ code: 'ERR_HSM_UNAVAILABLE' }));
  expect(breaker.check()).toEqual({
    ok: false,
    detail: expect.stringMatching(/^token customer fails.*probed every 0.01 s.*Check that the token, its configuration/),
  });
  expect(said).toEqual([
    expect.stringMatching(/^error: token customer fails, so requests are refused until it passes a probe.*Check that/),
  ]);
  await until(() => token.probes >= 3, { what: 'probes that fail' });
  expect(breaker.refuses).toBe(true);
  token.well = true;
  await until(() => !breaker.refuses, { what: 'a probe that passes' });
  expect(() => breaker.assertClosed()).not.toThrow();
  expect(said.slice(1)).toEqual(['log: token customer passes its probe; requests reach it again']);
  expect(breaker.openings).toBe(1);
  const since = reported[0]?.since;
  expect(reported).toEqual([
    { event: 'failing', token: 'customer', since, detail: expect.stringContaining('Check that the token') },
    { event: 'well', token: 'customer', since, detail: 'it passed its probe' },
  ]);
  const { probes } = token;
  fail('HSM_SESSION_LOST', 2);
  expect({ refuses: breaker.refuses, probes: token.probes }).toEqual({ refuses: false, probes });
});

test('what a caller may have caused is put to a probe, and a healthy token goes on to serve everybody', () => {
  const { breaker, token, said, fail } = breakerOf();
  token.well = true;
  fail('HSM_OPERATION_FAILED', 3);
  expect({ refuses: breaker.refuses, probes: token.probes, said }).toEqual({ refuses: false, probes: 1, said: [] });
});

test('what says nothing about the token counts nothing', () => {
  const { breaker, token, fail } = breakerOf();
  for (const code of ['HSM_AUTHENTICATION_FAILED', 'HSM_KEY_USE_REFUSED', 'HSM_ARGUMENT_INVALID', 'HSM_MECHANISM_UNAVAILABLE'] as const)
    fail(code, 10);
  for (let n = 0; n < 10; n++) breaker.observe(new Error('something else'));
  expect({ refuses: breaker.refuses, probes: token.probes }).toEqual({ refuses: false, probes: 0 });
});
