import { generateKeyPairSync, sign } from 'node:crypto';
import { limits } from '@claviger/contracts';
import { verifyRecord } from '@claviger/messaging';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { issueToken, type TokenClaims, tokenType } from '../src/index';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signer = { kid: 'control-1', sign: (input: Buffer) => sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }) };
const trusted = new Map([['control-1', publicKey]]);
const nowMs = Date.parse('2026-03-01T12:00:00.999Z');
const claimsOf = (token: string) => verifyRecord(tokenType, token, trusted) as TokenClaims;

test('a token says who, until when and how it was proven, and is signed for this use only', () => {
  const { token, claims } = issueToken(signer, { principal: 'kim', amr: ['pwd', 'mfa'], lifetimeSeconds: 600, nowMs });
  expect(claimsOf(token)).toEqual(claims);
  const iat = Math.floor(nowMs / 1_000);
  expect(claims).toEqual({
    iss: 'claviger',
    sub: 'kim',
    iat,
    exp: iat + 600,
    jti: expect.any(String),
    amr: ['pwd', 'mfa'],
    auth_time: iat,
    chain: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
  });
  expect(() => verifyRecord('claviger-session+jws', token, trusted)).toThrow();
});

test('no token lives longer than the limit, whatever is asked for', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000_000 }), (lifetimeSeconds) => {
      const { claims } = issueToken(signer, { principal: 'kim', amr: [], lifetimeSeconds, nowMs });
      expect(claims.exp - claims.iat).toBe(Math.min(lifetimeSeconds, limits.tokenLifetimeSecondsMax));
    }),
    { numRuns: 50 },
  );
});

test('no two tokens have the same id', () => {
  const ids = Array.from({ length: 50 }, () => issueToken(signer, { principal: 'kim', amr: [], lifetimeSeconds: 60, nowMs }).claims.jti);
  expect(new Set(ids).size).toBe(50);
});

test('a renewed token keeps the authentication that it comes from and ends with it; a first one begins a chain of its own', () => {
  const request = { principal: 'kim', amr: [], lifetimeSeconds: 600, nowMs };
  const first = issueToken(signer, request).claims;
  const login = { chain: first.chain, authTimeMs: first.auth_time * 1_000 };
  const renewed = issueToken(signer, { ...request, login, nowMs: nowMs + 300_000, endMs: nowMs + 400_000 }).claims;
  expect(renewed).toMatchObject({ chain: first.chain, auth_time: first.auth_time, exp: Math.floor((nowMs + 400_000) / 1_000) });
  expect(issueToken(signer, request).claims.chain).not.toBe(first.chain);
});
