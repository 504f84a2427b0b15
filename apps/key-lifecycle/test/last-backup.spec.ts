import { MaterialInBackups } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { inBackups, type Readable } from '../src/last-backup';

const hour = (n: number) => new Date(Date.parse('2026-03-01T00:00:00.000Z') + n * 3_600_000).toISOString();
const id = (n: number) => `b_202603010000000${String(n).padStart(2, '0')}_AAAAAAAAAA`;
const wrapped = { custody: 'wrapped', kekId: 'kek', sha256: 'A'.repeat(43) } as const;
const version = (material?: typeof wrapped | { custody: 'token'; token: string; label: string }) => ({
  ...{ version: 1, createdAt: hour(10) },
  ...(material ? { material } : {}),
});
const key = { createdAt: hour(10), destroyedAt: hour(20), versions: [version(wrapped)] };
const made = (n: number, from: number, to: number | undefined, until: number): Readable => ({
  backup: { backupId: id(n), createdAt: hour(from), ...(to === undefined ? {} : { finishedAt: hour(to) }) },
  epoch: { destroyAt: hour(until) },
});
const lastOf = (readable: Readable[]) => {
  const { last } = MaterialInBackups.parse(inBackups(key, readable, undefined));
  return last === 'none' ? last : last.backupId;
};

test('a backup may hold the material that was under way, or made, between the creation of the key and its destruction', () => {
  expect(lastOf([])).toBe('none');
  expect(lastOf([made(1, 8, 9, 99), made(2, 21, 22, 99)])).toBe('none');
  for (const [from, to] of [
    [8, 11],
    [12, 13],
    [19, 22],
    [8, undefined],
  ] as const)
    expect(lastOf([made(3, from, to, 99)])).toBe(id(3));
  // A clock that is behind, or ahead, hides none.
  for (const [from, to] of [
    [20.05, 21],
    [9, 9.95],
  ] as const)
    expect(lastOf([made(4, from, to, 99)])).toBe(id(4));
});

test('of several it is the one that can be read longest, then the newest', () => {
  const all = [made(1, 11, 12, 200), made(2, 13, 14, 200), made(3, 15, 16, 150)];
  for (const readable of [all, all.toReversed()])
    expect(inBackups(key, readable, undefined)).toEqual({ last: { backupId: id(2), begunAt: hour(13), readableUntil: hour(200) } });
});

test('material that never left its token is in none; what lost its material before may be in one', () => {
  const inToken = version({ custody: 'token', token: 'customer', label: 'k' });
  const readable = [made(1, 11, 12, 99)];
  expect(inBackups({ ...key, versions: [inToken] }, readable, undefined)).toEqual({ last: 'none' });
  for (const versions of [[inToken, version(wrapped)], [version()]])
    expect(inBackups({ ...key, versions }, readable, undefined).last).toMatchObject({ backupId: id(1) });
});

test('a key that came with a restore is in backups of another site, too; one that was made after it is not', () => {
  const restore = (at: number) => ({ backupId: id(9), startedAt: hour(at) });
  expect(inBackups(key, [], restore(15))).toEqual({ last: 'none', restoredFrom: id(9) });
  expect(inBackups(key, [], restore(5))).toEqual({ last: 'none' });
});
