import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { type SessionsView, type TokenKeyView, tokenKeyId } from '@claviger/contracts';
import { HsmError } from '@claviger/hsm';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { calculateJwkThumbprint } from 'jose';
import { policyChecks } from '../src/health';
import { TokenKeyKeeper } from '../src/token-key-keeper';
import { jwkOf, madeKeys, publishAheadMs, signingKey, spentKeys, verifyingKeys } from '../src/token-keys';

const dayMs = 86_400_000;
const start = Date.parse('2026-03-01T12:00:00.000Z');
const longestTokenMs = 900_000;

/** Replicas on one bucket and one token. The pairs are those of OpenSSL: what a process leaves behind that is killed in between cannot be had of a real token. */
function installation() {
  const bucket = new Map<string, SessionsView>();
  const pairs = new Map<string, { privateKey: KeyObject; publicKey: KeyObject }>();
  const recorded: string[] = [];
  const clock = { nowMs: start };
  const owner = {
    claim: async (record: SessionsView) => !bucket.has(record.id) && bucket.set(record.id, record) && true,
    put: async (record: SessionsView) => {
      if ((bucket.get(record.id)?.revision ?? 0) >= record.revision) return 'already there' as const;
      bucket.set(record.id, record);
      return 'written' as const;
    },
  };
  const token = {
    generateTokenKeyPair: (label: string) => {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      pairs.set(label, pair);
      return pair.publicKey.export({ format: 'der', type: 'spki' });
    },
    destroyTokenKeyPair: (label: string) => pairs.delete(label),
    findTokenKey: (label: string) => {
      if (!pairs.has(label)) throw new HsmError('HSM_KEY_NOT_FOUND', label);
      return pairs.get(label);
    },
    signDigestP256: (pair: { privateKey: KeyObject }, digest: Buffer) => sign(null, digest, pair.privateKey),
  };
  const replica = (more: Partial<typeof token> = {}, fresh = true) =>
    new TokenKeyKeeper({
      token: { ...token, ...more } as never,
      owner: owner as never,
      view: { values: () => bucket.values(), fresh: () => fresh },
      control: new Map(),
      trail: { operation: async ({ reason }: { reason?: string }) => void recorded.push(reason ?? '') } as never,
      everyMs: 30 * dayMs,
      logger: { log: () => undefined, warn: () => undefined, error: () => undefined },
      nowMs: () => clock.nowMs,
    });
  const records = () => [...bucket.values()] as TokenKeyView[];
  /** As a replica does that runs: a look every so often. */
  const run = async (keeper: TokenKeyKeeper) => {
    await keeper.start();
    await keeper.stop();
  };
  return { bucket, pairs, recorded, clock, replica, records, run, token };
}

describe('keys that sign tokens', () => {
  test('the first signs at once; the next is published before it signs, and the one before verifies until its last token has ended', async () => {
    const { clock, replica, run, recorded, pairs } = installation();
    const keeper = replica();
    await run(keeper);
    const first = keeper.signer().kid;
    expect(keeper.jwks()).toMatchObject({ signing: first, keys: [{ kid: first, alg: 'ES256', use: 'sig' }] });
    clock.nowMs += 30 * dayMs;
    await run(keeper);
    const [, second] = keeper.jwks().keys.map(({ kid }) => kid);
    expect(keeper.signer().kid).toBe(first);
    clock.nowMs += publishAheadMs;
    expect(keeper.signer().kid).toBe(second);
    clock.nowMs += longestTokenMs;
    expect([...keeper.trusted().keys()]).toEqual([first, second]);
    clock.nowMs += 31_000;
    expect([...keeper.trusted().keys()]).toEqual([second]);
    await run(keeper);
    expect(pairs.size).toBe(1);
    expect(recorded).toEqual([expect.stringContaining('the first'), expect.stringContaining('by schedule')]);
  });

  test('a compromised one is withdrawn at once, and its pair destroyed', async () => {
    const { replica, run, pairs } = installation();
    const keeper = replica();
    await run(keeper);
    const before = keeper.signer().kid;
    const withdrawn = await keeper.withdraw();
    const made = await keeper.replace(withdrawn);
    expect({ withdrawn, signing: keeper.signer().kid }).toEqual({ withdrawn: [before], signing: made.kid });
    expect([...keeper.trusted().keys()]).toEqual([made.kid]);
    await run(keeper);
    expect([...pairs.keys()]).toEqual([made.label]);
  });

  test('a compromised one is withdrawn also when no new one can be made, and whoever asked hears both', async () => {
    const { replica, run, pairs, clock } = installation();
    await run(replica());
    const leaked = replica().signer().kid;
    const keeper = replica({
      generateTokenKeyPair: () => {
        throw new HsmError('HSM_UNAVAILABLE', 'away');
      },
    });
    const withdrawn = await keeper.withdraw();
    await expect(keeper.replace(withdrawn)).rejects.toMatchObject({
      code: 'ERR_HSM_UNAVAILABLE',
      message: expect.stringMatching(new RegExp(`Withdrawn already.*${leaked}.*by itself`)),
    });
    expect([...keeper.trusted().keys()]).toEqual([]);
    clock.nowMs += 121_000;
    await run(replica());
    expect(pairs.size).toBe(1);
    expect(replica().signer().kid).not.toBe(leaked);
  });

  test.each([
    ['signs', 0],
    ['is to sign soon', 30 * dayMs],
  ])('one that %s and whose pair is gone makes health red, and another is made in its place', async (_, aheadMs) => {
    const { replica, run, records, clock, pairs, recorded } = installation();
    await run(replica());
    clock.nowMs += aheadMs;
    await run(replica());
    const gone = madeKeys(records()).at(-1) as NonNullable<ReturnType<typeof signingKey>>;
    pairs.delete(gone.label);
    const health = (keeper: TokenKeyKeeper) =>
      policyChecks({} as never, {} as never, {} as never, keeper, {} as never)
        .find(({ name }) => name === 'token key')
        ?.check();
    const without = replica({
      generateTokenKeyPair: () => {
        throw new HsmError('HSM_UNAVAILABLE', 'away');
      },
    });
    await run(without);
    expect(health(without)).toMatchObject({ ok: false, detail: expect.stringContaining(gone.kid) });
    clock.nowMs += 121_000;
    const keeper = replica();
    await run(keeper);
    expect(health(keeper)).toMatchObject({ ok: true });
    clock.nowMs += publishAheadMs;
    const { kid, sign } = keeper.signer();
    expect(kid).not.toBe(gone.kid);
    expect(() => sign(Buffer.from('x'))).not.toThrow();
    const made = records().length;
    await run(keeper);
    expect(records()).toHaveLength(made);
    expect(recorded.at(-1)).toContain(`since the pair of ${gone.kid} is gone`);
  });

  test('a token that is away says nothing about its pairs', async () => {
    const { replica, run, records } = installation();
    await run(replica());
    const keeper = replica({
      findTokenKey: () => {
        throw new HsmError('HSM_UNAVAILABLE', 'away');
      },
    });
    await run(keeper);
    expect(keeper.lacking()).toBeUndefined();
    expect(records()).toHaveLength(1);
  });

  test('are published while it is known which were withdrawn', async () => {
    const { replica, run } = installation();
    const keeper = replica();
    await run(keeper);
    expect(JSON.parse(keeper.jwkSet() as string)).toEqual({ keys: keeper.jwks().keys });
    expect(replica({}, false).jwkSet()).toBeUndefined();
  });

  test('replicas that begin at once make one between them', async () => {
    const { replica, run, pairs } = installation();
    const replicas = [replica(), replica(), replica()];
    await Promise.all(replicas.map(run));
    expect(new Set(replicas.map((keeper) => keeper.signer().kid)).size).toBe(1);
    expect(pairs.size).toBe(1);
  });

  test('one that ends before or after it made the pair leaves nothing behind: another cleans up, and makes its own', async () => {
    const { clock, replica, run, pairs, records, bucket } = installation();
    for (const afterIt of [false, true]) {
      const killed = replica({
        generateTokenKeyPair: (label) => {
          if (afterIt) pairs.set(label, generateKeyPairSync('ec', { namedCurve: 'P-256' }));
          throw new Error('killed');
        },
      });
      await run(killed);
      const other = replica();
      await run(other);
      expect(madeKeys(records())).toEqual([]);
      clock.nowMs += 121_000;
      await run(other);
      expect(other.jwks().keys).toHaveLength(1);
      expect(pairs.size).toBe(1);
      pairs.clear();
      bucket.clear();
    }
  });

  test('one that was given up while it slept destroys its own pair when it wakes', async () => {
    const { clock, replica, run, pairs, records, bucket, token } = installation();
    const sleeper = replica({
      generateTokenKeyPair: (label) => {
        clock.nowMs += 121_000;
        const begun = bucket.get(tokenKeyId(1)) as TokenKeyView;
        bucket.set(begun.id, { ...begun, revision: 2, state: 'destroyed' });
        return token.generateTokenKeyPair(label);
      },
    });
    await run(sleeper);
    expect(madeKeys(records())).toEqual([]);
    expect(pairs.size).toBe(0);
  });

  test('whatever is rotated when: a token verifies as long as it lives, and what verifies is never destroyed', async () => {
    const spki = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' }).toString('base64url');
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3_000_000 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 4_000_000 }),
        (froms, at) => {
          const keys = [...froms]
            .sort((a, b) => a - b)
            .map(
              (from, n): TokenKeyView => ({
                ...{
                  kind: 'token-key',
                  id: tokenKeyId(n + 1),
                  revision: 2,
                  number: n + 1,
                  label: `token-signing-${n + 1}-${'0'.repeat(16)}`,
                },
                ...{ state: 'made', begunAt: new Date(0).toISOString(), publicKeySpki: spki, kid: `k${n}` },
                activeFrom: new Date(from).toISOString(),
              }),
            );
          const signer = signingKey(keys, at);
          if (!signer) return;
          const end = at + longestTokenMs;
          expect(verifyingKeys(keys, end).map(({ kid }) => kid)).toContain(signer.kid);
          const spent = new Set(spentKeys(keys, end).map(({ id }) => id));
          expect(verifyingKeys(keys, end).filter(({ id }) => spent.has(id))).toEqual([]);
        },
      ),
    );
  });

  test('are named by their thumbprint (RFC 7638)', async () => {
    const { replica, run, records } = installation();
    await run(replica());
    const [key] = madeKeys(records());
    const jwk = jwkOf(key as NonNullable<typeof key>);
    expect(await calculateJwkThumbprint(jwk)).toBe(key?.kid);
  });
});
