import { generateKeyPairSync } from 'node:crypto';
import { horizonId, limits, revokedChainId, type SessionsView, type SessionView } from '@claviger/contracts';
import { newLogin, type TokenClaims } from '@claviger/installation';
import { signRecord } from '@claviger/messaging';
import { describe, expect, test } from '@jest/globals';
import { decodeJwt, SignJWT } from 'jose';
import { proveToken } from '../src/claviger-token';
import { Logins } from '../src/logins';
import { oidcLogin } from '../src/oidc';
import { TokenIssuer } from '../src/token-issuer';
import { TestKey } from './policy-system';

const hourMs = 3_600_000;
const nowMs = Date.parse('2026-03-01T12:00:00.000Z');

/** Its bucket is this map; what is put in is put as KvOwner would. */
const logins = (maxAgeMs = 12 * hourMs, now = () => nowMs) => {
  const bucket = new Map<string, SessionsView>();
  const ttl = new Map<string, number>();
  const put = async (record: SessionsView, ttlSeconds?: number) => {
    if ((bucket.get(record.id)?.revision ?? 0) >= record.revision) return 'already there' as const;
    bucket.set(record.id, record);
    ttl.set(record.id, ttlSeconds ?? 0);
    return 'written' as const;
  };
  return { bucket, ttl, logins: new Logins({ put }, { get: (id) => bucket.get(id) }, maxAgeMs, now) };
};

const session = (more: Partial<SessionView> = {}): SessionView => ({
  kind: 'session',
  id: 'A'.repeat(22),
  revision: 1,
  session: 'A'.repeat(22),
  principal: 'eve',
  method: 'token',
  mfa: true,
  authTime: new Date(nowMs - hourMs).toISOString(),
  chain: 'c'.repeat(42).concat('A'),
  ip: 'commitment',
  issuedAt: new Date(nowMs).toISOString(),
  expiresAt: new Date(nowMs + 900_000).toISOString(),
  state: 'active',
  ...more,
});
const login = { chain: session().chain, authTimeMs: nowMs - hourMs };

describe('an authentication counts', () => {
  test('until its last day, and not a millisecond longer', () => {
    const { logins: l } = logins();
    expect(l.end({ ...login, authTimeMs: nowMs - 12 * hourMs + 1 }, 'eve')).toBeUndefined();
    expect(l.end({ ...login, authTimeMs: nowMs - 12 * hourMs }, 'eve')).toMatchObject({ why: 'login-too-old' });
  });

  test('until it is revoked, which is remembered until its last token has ended; the first who revoked it stays', async () => {
    const { logins: l, bucket, ttl } = logins();
    await l.revoke(session(), 'sofia', 'stolen laptop');
    await l.revoke(session(), 'otto', 'again');
    expect(l.end(login, 'eve')).toEqual({ why: 'login-revoked', by: 'sofia', reason: 'stolen laptop' });
    expect(l.end({ ...login, chain: newLogin(nowMs).chain }, 'eve')).toBeUndefined();
    const { expiresAt } = bucket.get(revokedChainId(login.chain)) as SessionsView & { expiresAt: string };
    expect(Date.parse(expiresAt)).toBeGreaterThanOrEqual(l.lastDayMs(login));
    expect(ttl.get(revokedChainId(login.chain))).toBeGreaterThan((Date.parse(expiresAt) - nowMs) / 1_000);
  });

  test('revoked at the very end of its time, it is remembered as long as a token lives', async () => {
    const { logins: l, bucket } = logins(hourMs);
    await l.revoke(session({ authTime: new Date(nowMs - hourMs).toISOString() }), 'sofia', 'late');
    const { expiresAt } = bucket.get(revokedChainId(login.chain)) as SessionsView & { expiresAt: string };
    expect(Date.parse(expiresAt) - nowMs).toBeGreaterThanOrEqual(limits.tokenLifetimeSecondsMax * 1_000);
  });

  test('not after its principal was revoked, nor when an issuer whose clock is ahead dates it later', async () => {
    const { logins: l } = logins();
    await l.revokePrincipal('eve', 'sofia', 'left');
    const ahead = nowMs + limits.clockSkewSeconds * 1_000;
    expect(l.end({ ...login, authTimeMs: ahead }, 'eve')).toMatchObject({ why: 'login-revoked', by: 'sofia' });
    expect(l.end({ ...login, authTimeMs: ahead + 1 }, 'eve')).toBeUndefined();
    expect(l.end({ ...login, authTimeMs: ahead }, 'otto')).toBeUndefined();
  });

  test('not when it is from before the bucket was put right; each time moves the horizon on', async () => {
    let now = nowMs;
    const { logins: l, bucket } = logins(12 * hourMs, () => now);
    await l.forget();
    const ahead = nowMs + limits.clockSkewSeconds * 1_000;
    expect(l.end({ ...login, authTimeMs: ahead }, 'eve')).toMatchObject({ why: 'login-forgotten' });
    expect(l.end({ ...login, authTimeMs: ahead + 1 }, 'eve')).toBeUndefined();
    now += 5_000;
    await l.forget();
    expect(l.end({ ...login, authTimeMs: ahead + 1 }, 'eve')).toMatchObject({ why: 'login-forgotten' });
    expect(bucket.get(horizonId)?.revision).toBe(2);
  });
});

describe('a renewed token', () => {
  const key = new TestKey('control');
  const issuer = (l: Logins) => new TokenIssuer(() => key, l);
  const at = (authTimeMs: number) => session({ authTime: new Date(authTimeMs).toISOString() });
  const claims = (token: string) => decodeJwt(token) as unknown as TokenClaims;

  test('belongs to the login that it continues, and ends with it', () => {
    const l = logins(hourMs, Date.now).logins;
    const authTimeMs = Date.now() - hourMs + 60_000;
    const { auth_time, chain, exp, amr } = claims(issuer(l).renew(at(authTimeMs), 900).token);
    expect({ auth_time, chain, amr }).toEqual({ auth_time: Math.floor(authTimeMs / 1_000), chain: session().chain, amr: ['mfa'] });
    expect(exp * 1_000).toBeLessThanOrEqual(authTimeMs + hourMs);
  });

  test('says the class of its authentication, so that a policy which forbids a weak one is not evaded by a renewal', () => {
    const proofOf = (more: Partial<SessionView>) => {
      const { token } = issuer(logins(hourMs, Date.now).logins).renew(session({ authTime: new Date().toISOString(), ...more }), 900);
      return proveToken(token, new Map([['control', key.publicKey]]), Date.now());
    };
    expect(proofOf({ acr: 'urn:weak' }).acr).toBe('urn:weak');
    expect(proofOf({})).not.toHaveProperty('acr');
  });

  test('is refused on the last day, with advice', () => {
    const l = logins(hourMs, Date.now).logins;
    expect(() => issuer(l).renew(at(Date.now() - hourMs + 9_000), 900)).toThrow(/authenticate anew/);
    expect(() => issuer(l).renew(at(Date.now() - hourMs - 1), 900)).toThrow(expect.objectContaining({ code: 'ERR_AUTHENTICATION' }));
  });

  test('is refused when the login was revoked, or nobody knows whether it was', async () => {
    const { logins: l } = logins(hourMs, Date.now);
    const mine = at(Date.now());
    await l.forget();
    expect(() => issuer(l).renew(mine, 900)).toThrow(expect.objectContaining({ code: 'ERR_AUTHENTICATION' }));
    await l.revoke(mine, 'sofia', 'stolen');
    expect(() => issuer(l).renew(mine, 900)).toThrow(expect.objectContaining({ code: 'ERR_SESSION_REVOKED' }));
  });

  test('somebody else gets a login of its own', () => {
    const l = logins(hourMs, Date.now).logins;
    const [one, two] = [issuer(l).vouch('pay', 60), issuer(l).vouch('pay', 60)].map(({ token }) => claims(token).chain);
    expect(one).not.toBe(two);
  });

  test('cannot claim to be older than its authentication, nor come without one', () => {
    const iat = Math.floor(nowMs / 1_000);
    const token = (more: object) =>
      signRecord('claviger-token+jwt', { iss: 'claviger', sub: 'eve', iat, exp: iat + 60, jti: 'j'.repeat(16), amr: [], ...more }, key);
    const keys = new Map([['control', key.publicKey]]);
    const whole = { auth_time: iat, chain: login.chain };
    expect(proveToken(token(whole), keys, nowMs)).toMatchObject({ login: { chain: login.chain, authTimeMs: iat * 1_000 } });
    const refused = (more: object, reason: string) =>
      expect(() => proveToken(token(more), keys, nowMs)).toThrow(expect.objectContaining({ reason }));
    refused({ ...whole, auth_time: iat + 1 }, 'token-lifetime');
    refused({ chain: login.chain }, 'token-claims');
    refused({ auth_time: iat }, 'token-claims');
    refused({ ...whole, chain: 'short' }, 'token-claims');
  });
});

describe('the login behind an OIDC token', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const made = async (more: Record<string, unknown>) => {
    const iat = Math.floor(nowMs / 1_000);
    const claims = { iss: 'https://idp.example', sub: 'olga', iat, ...more };
    const token = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256' }).sign(privateKey);
    return { token, login: oidcLogin(token, claims) };
  };

  test('is the session at the issuer, when it says when that began: a refreshed token belongs to it', async () => {
    const auth_time = nowMs / 1_000 - 7_200;
    const [first, refreshed] = [await made({ sid: 's', auth_time }), await made({ sid: 's', auth_time, iat: nowMs / 1_000 + 60 })];
    expect(refreshed.login).toEqual(first.login);
    expect(first.login.authTimeMs).toBe(auth_time * 1_000);
    for (const other of [
      { sid: 't', auth_time },
      { sid: 's', auth_time, sub: 'otto' },
      { sid: 's', auth_time, iss: 'https://x.example' },
    ])
      expect((await made(other)).login.chain).not.toBe(first.login.chain);
  });

  test('is the token itself otherwise, whatever its signature looks like', async () => {
    const { token, login: own } = await made({ sid: 's' });
    const another = await made({ sid: 's' });
    expect(another.token).not.toBe(token);
    expect(another.login).toEqual(own);
    expect((await made({ jti: '1' })).login.chain).not.toBe((await made({ jti: '2' })).login.chain);
  });
});
