import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { temporaryFolder } from '@claviger/testing';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, type JSONWebKeySet } from 'jose';
import { IssuerKeys, KeysUnavailable } from '../src/issuer-keys';
import { fetchKeys } from '../src/jwks-fetch';

const jwk = async (kid: string) => ({ ...(await exportJWK((await generateKeyPair('ES256')).publicKey)), kid, alg: 'ES256' });
const header = (kid: string) => ({ alg: 'ES256', kid });
const input = { payload: '', signature: '' };

describe('the keys of an issuer', () => {
  const issuer = async (...kids: string[]) => {
    const state = { set: { keys: await Promise.all(kids.map(jwk)) } as JSONWebKeySet, away: false, asked: 0, nowMs: 0 };
    const fetchSet = async () => {
      state.asked++;
      if (state.away) throw new Error('away');
      return state.set;
    };
    return { state, keys: new IssuerKeys(fetchSet, 3_600_000, () => state.nowMs) };
  };

  test('are fetched once for all who wait, and again for a kid that is not there: at most once in 30 s', async () => {
    const { state, keys } = await issuer('a');
    await Promise.all(Array.from({ length: 20 }, () => keys.find(header('a'), input)));
    expect(state.asked).toBe(1);
    state.set = { keys: [...state.set.keys, await jwk('b')] };
    state.nowMs += 29_000;
    await expect(keys.find(header('b'), input)).rejects.toThrow();
    expect(state.asked).toBe(1);
    state.nowMs += 1_000;
    expect(await keys.find(header('b'), input)).toBeDefined();
    for (let n = 0; n < 20; n++) await expect(keys.find(header('nobody'), input)).rejects.toThrow();
    expect(state.asked).toBe(2);
  });

  test('with the issuer away those that are cached count, but not for longer than they may', async () => {
    const { state, keys } = await issuer('a');
    await keys.find(header('a'), input);
    state.away = true;
    state.nowMs += 3_600_000;
    expect(await keys.find(header('a'), input)).toBeDefined();
    state.nowMs += 1;
    await expect(keys.find(header('a'), input)).rejects.toThrow(KeysUnavailable);
    // Nor is one that is away asked by everybody who comes.
    const { asked } = state;
    for (let n = 0; n < 20; n++) await expect(keys.find(header('a'), input)).rejects.toThrow(KeysUnavailable);
    expect(state.asked).toBe(asked);
    state.away = false;
    state.nowMs += 2_000;
    expect(await keys.find(header('a'), input)).toBeDefined();
  });
});

describe('fetching them', () => {
  let server: Server;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  const pages: Record<string, [status: number, body: string]> = {};
  const asked: (string | undefined)[] = [];
  beforeAll(async () => {
    folder = await temporaryFolder('jwks');
    server = createServer((request, response) => {
      asked.push(request.headers.authorization);
      const [status, body] = pages[request.url ?? ''] ?? [404, ''];
      response.writeHead(status, status === 302 ? { location: '/good' } : {}).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(async () => {
    server.close();
    await folder.remove();
  });
  const at = (path: string) => ({ jwksUri: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}` });

  test('shows the bearer token that its file holds now', async () => {
    pages['/good'] = [200, JSON.stringify({ keys: [await jwk('a')] })];
    const jwksTokenFile = join(folder.path, 'token');
    for (const token of ['one', 'two']) {
      writeFileSync(jwksTokenFile, `${token}\n`);
      expect((await fetchKeys({ ...at('/good'), jwksTokenFile })).keys).toHaveLength(1);
    }
    expect(asked).toEqual(['Bearer one', 'Bearer two']);
  });

  test('takes no redirect, nothing that is too large, and no set of too many keys', async () => {
    pages['/moved'] = [302, ''];
    pages['/large'] = [200, JSON.stringify({ keys: [], more: 'x'.repeat(300_000) })];
    pages['/many'] = [200, JSON.stringify({ keys: Array.from({ length: 101 }, () => ({ kty: 'EC' })) })];
    pages['/words'] = [200, 'no keys'];
    for (const path of ['/moved', '/large', '/many', '/words', '/none']) await expect(fetchKeys(at(path))).rejects.toThrow();
  });

  test('of a SPIFFE bundle takes the keys for JWT-SVIDs only', async () => {
    const [svid, x509] = [
      { ...(await jwk('svid')), use: 'jwt-svid' },
      { ...(await jwk('x509')), use: 'x509-svid' },
    ];
    pages['/bundle'] = [200, JSON.stringify({ keys: [svid, x509], spiffe_sequence: 1 })];
    const { keys } = await fetchKeys({ ...at('/bundle'), trustDomain: 'example.org' });
    expect(keys.map(({ kid, use }) => [kid, use])).toEqual([['svid', undefined]]);
  });
});
