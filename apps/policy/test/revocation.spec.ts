import type { SessionView } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import { Revocation } from '../src/revocation';

/** A ledger that hangs or refuses cannot be had from a real broker at a chosen record, so it is made up here. */
function revocationWith(
  append: (record: Record<string, unknown>) => Promise<never>,
  live: SessionView[] = [],
  chain: () => Promise<void> = async () => undefined,
) {
  const done: string[] = [];
  const parts = {
    connection: { request: async (subject: string) => void done.push(`cut ${subject.split('.')[3]}`) },
    sessions: {
      revoke: async ({ session }: SessionView) => {
        done.push(`tombstone ${session}`);
        return 'revoked' as const;
      },
      live: () => live,
    },
    logins: {
      revoke: () => {
        done.push('chain');
        return chain();
      },
      revokePrincipal: async () => void done.push('principal'),
      end: () => undefined,
    },
    trail: {
      append: (record: Record<string, unknown>) => {
        done.push(String(record.event));
        return append(record);
      },
    },
    logger: { log: () => undefined, warn: () => undefined, error: () => undefined },
  };
  const revocation = new Revocation(
    parts.connection as never,
    parts.sessions as never,
    parts.logins as never,
    parts.trail as never,
    parts.logger as never,
  );
  return { revocation, done };
}
const sessionOf = (n: number) =>
  ({
    session: `s${n}`,
    principal: 'eve',
    chain: 'c',
    authTime: new Date(0).toISOString(),
    state: 'active',
    server: `node${n}`,
    client: n,
  }) as SessionView;
const never = () => new Promise<never>(() => undefined);

test('nothing is done while who wants it is not durable', async () => {
  const { revocation, done } = revocationWith(never);
  void revocation.revokeLogin(sessionOf(1), { by: 'sam', reason: 'left' });
  await new Promise((resolve) => setImmediate(resolve));
  expect(done).toEqual(['revoking']);
});

test('what cannot be recorded is not done, and the officer hears so', async () => {
  const { revocation, done } = revocationWith(() => Promise.reject(new Error('no AUDIT')));
  await expect(revocation.revokeLogin(sessionOf(1), { by: 'sam', reason: 'left' })).rejects.toThrow('no AUDIT');
  expect(done).toEqual(['revoking']);
});

test('all of a principal: what it authenticated with, then of each session what it came from, and the session', async () => {
  const { revocation, done } = revocationWith(() => Promise.resolve() as Promise<never>, [sessionOf(1)]);
  expect(await revocation.revokePrincipal('eve', { by: 'sam', reason: 'left' })).toBe(1);
  expect(done).toEqual(['revoking', 'principal', 'chain', 'tombstone s1', 'revoked', 'cut node1']);
});

test('a session that has ended is cut off even when that it ended cannot be recorded', async () => {
  const { revocation, done } = revocationWith(({ event }) =>
    event === 'revoking' ? (Promise.resolve() as Promise<never>) : Promise.reject(new Error('no AUDIT')),
  );
  await expect(revocation.revokeLogin(sessionOf(1), { by: 'sam', reason: 'left' })).rejects.toThrow('no AUDIT');
  expect(done).toEqual(['revoking', 'chain', 'tombstone s1', 'revoked', 'cut node1']);
});

test('where the chain cannot be ended the session has ended all the same, nothing else is said to have, and the officer hears so', async () => {
  const [own, other] = [sessionOf(1), sessionOf(2)];
  const { revocation, done } = revocationWith(
    () => Promise.resolve() as Promise<never>,
    [own, other],
    () => Promise.reject(new Error('no bucket')),
  );
  await expect(revocation.revokeLogin(own, { by: 'sam', reason: 'left' })).rejects.toThrow('no bucket');
  expect(done).toEqual(['revoking', 'chain', 'tombstone s1', 'revoked', 'cut node1']);
});

test('what this service ends by itself does not wait for the ledger', async () => {
  const { revocation, done } = revocationWith(never);
  const sessions = Array.from({ length: 50 }, (_, n) => sessionOf(n));
  await revocation.end(sessions, 'the principal is disabled');
  await until(() => done.filter((what) => what.startsWith('cut')).length === 50, { what: 'all to be cut off' });
  expect(done.filter((what) => what.startsWith('tombstone'))).toHaveLength(50);
  expect(done).not.toContain('revoking');
});
