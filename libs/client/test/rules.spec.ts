import { limits } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ClavigerError } from '../src/claviger-error';
import { Passes } from '../src/credential';
import { contextDigest } from '../src/envelope/context-digest';
import { operations } from '../src/operations';
import { attemptTimeoutMs, leastAttemptMs, retryPauseMs } from '../src/retry';
import { newSessionId } from '../src/session-id';
import { tokenFor } from './small-system';

test('a session id has the form that the broker admits, and every character occurs alike', () => {
  const counts = new Map<string, number>();
  for (let i = 0; i < 5_000; i++) {
    const id = newSessionId();
    expect(id).toMatch(/^[A-Za-z0-9]{22}$/);
    for (const c of id) counts.set(c, (counts.get(c) ?? 0) + 1);
  }
  const expected = (5_000 * 22) / 62;
  expect(counts.size).toBe(62);
  // Six standard deviations; with a plain modulo the first eight characters would be 25 % too frequent.
  for (const count of counts.values()) expect(Math.abs(count - expected)).toBeLessThan(6 * Math.sqrt(expected));
});

test('every operation of the contract is offered under its own service', () => {
  for (const [service, table] of Object.entries(operations))
    for (const operation of Object.values(table)) expect(operation.service).toBe(service);
});

test('only what is safe to repeat, or was received by nobody, is tried again, and never past the deadline', () => {
  const failed = fc.record({
    retry: fc.constantFrom('safe' as const, 'never' as const),
    retryable: fc.boolean(),
    undelivered: fc.boolean(),
    attempt: fc.nat(20),
    remainingMs: fc.double({ min: -1_000, max: 10_000, noNaN: true }),
    random: fc.double({ min: 0, max: 0.999, noNaN: true }),
  });
  fc.assert(
    fc.property(failed, (f) => {
      const pause = retryPauseMs(f);
      if (f.retry === 'never' && !f.undelivered) expect(pause).toBeUndefined();
      if (f.retry === 'safe' && !f.retryable && !f.undelivered) expect(pause).toBeUndefined();
      if (pause !== undefined) expect(pause + (f.retry === 'never' ? leastAttemptMs : 0)).toBeLessThan(f.remainingMs);
    }),
  );
});

test('a quota that is used up is asked again when its next window has begun, or not at all where the deadline is earlier', () => {
  const failed = { retry: 'safe', retryable: true, undelivered: false, attempt: 0, random: 0.5 } as const;
  expect(retryPauseMs({ ...failed, retryAfterMs: 400, remainingMs: 5_000 })).toBeGreaterThanOrEqual(400);
  expect(retryPauseMs({ ...failed, retryAfterMs: 60_000, remainingMs: 5_000 })).toBeUndefined();
});

test('one attempt of a call that may be repeated leaves time for another, but outlasts the wait for the record', () => {
  expect(attemptTimeoutMs('safe', 5_000, 5_000)).toBeGreaterThan(limits.auditWaitMs);
  expect(attemptTimeoutMs('safe', 5_000, 5_000)).toBeLessThanOrEqual(2_500);
  expect(attemptTimeoutMs('never', 5_000, 5_000)).toBe(5_000);
  expect(attemptTimeoutMs('safe', 5_000, 100)).toBe(100);
});

test('the context digest is that of the canonical JSON, whatever the order of its names', () => {
  expect(contextDigest({ b: '2', a: '1' })).toBe(contextDigest({ a: '1', b: '2' }));
  expect(contextDigest({ a: '1' })).not.toBe(contextDigest({ a: '2' }));
  expect(contextDigest({})).not.toBe(contextDigest(undefined));
});

test('a Claviger token is followed by the one it renews to; when that fails, by the source', async () => {
  const passes = new Passes({ token: tokenFor('a', 60) });
  expect(await passes.next(undefined)).toMatchObject({ token: tokenFor('a', 60) });
  const renewed = tokenFor('a', 600);
  expect(await passes.next(async () => renewed)).toMatchObject({ token: renewed });
  // Without a live connection: the renewed one lasts longer than what the source has.
  expect(await passes.next(undefined)).toMatchObject({ token: renewed });
  expect(await passes.next(() => Promise.reject(new Error('denied')))).toMatchObject({ token: renewed });
});

test('a source is asked for each connection of an OIDC caller; one that fails is an authentication error', async () => {
  let asked = 0;
  const passes = new Passes({ oidcToken: async () => tokenFor('a', 60 + asked++) });
  await passes.next(undefined);
  await passes.next(async () => 'never used');
  expect(asked).toBe(2);
  const broken = new Passes({ oidcToken: () => Promise.reject(new Error('idp away')) });
  await expect(broken.next(undefined)).rejects.toMatchObject({ code: 'ERR_AUTHENTICATION' });
});

test('a renewal that Claviger refuses is what an expired token is explained by, until the source has a new one', async () => {
  let now = Date.now();
  let source = tokenFor('a', 60);
  const passes = new Passes({ token: () => source }, () => now);
  const refuse = () => Promise.reject(new ClavigerError('ERR_AUTHENTICATION', { detail: 'Too long ago to renew: authenticate anew.' }));
  await passes.next(undefined);
  // The token in hand is good until it ends.
  expect(await passes.next(refuse)).toMatchObject({ token: source });
  now += 61_000;
  const failed = passes.next(undefined);
  await expect(failed).rejects.toMatchObject({
    code: 'ERR_AUTHENTICATION',
    detail: expect.stringMatching(/not renewed.*authenticate anew/),
  });
  source = tokenFor('a', 120);
  expect(await passes.next(undefined)).toMatchObject({ token: source });
  now += 120_000;
  await expect(passes.next(undefined)).rejects.toMatchObject({ detail: 'The token has expired.' });
});
