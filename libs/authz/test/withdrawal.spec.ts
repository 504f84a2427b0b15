import type { Grant, Group, PolicyBundle } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { assignmentsOf, offboarded, shortAfter, validateBundle, withoutAssignments } from '../src/index';
import { bundleOf, principal } from './starter-set';

const group = (name: string, members: string[], roles: string[] = []): Group => {
  const [tenant, id] = name.split('/') as [string, string];
  return { id, tenant, members, roles, revision: 1 };
};
const night: Grant = { id: 'night', principal: 'kim', role: 'operator', revision: 1 };
const bundle = bundleOf(
  [
    principal('kim', ['key-administrator', 'operator']),
    principal('sam', ['security-officer']),
    principal('app', ['application'], { kind: 'service' }),
  ],
  { grants: [night], groups: [group('a/keys', ['kim', 'group:a/inner'], ['key-administrator']), group('a/inner', ['sam'])] },
);
const named = (...ids: string[]) => assignmentsOf(bundle).filter(({ id }) => ids.includes(id));

test('what is taken is gone, what was changed has a new revision, and everything else is as it was', () => {
  const after = withoutAssignments(bundle, named('role:kim:operator', 'group:kim:a/keys', 'grant:night'));
  expect(after.principals[0]).toEqual({ ...bundle.principals[0], roles: ['key-administrator'], revision: 2 });
  expect(after.principals.slice(1)).toEqual(bundle.principals.slice(1));
  expect(after.groups).toEqual([{ ...bundle.groups![0], members: ['group:a/inner'], revision: 2 }, bundle.groups![1]]);
  expect(after.grants).toEqual([]);
  expect(withoutAssignments(after, named('role:kim:operator', 'grant:night'))).toEqual(after);
});

test('the last people with a role stay, also those who have it through a group; services and disabled people do not count', () => {
  const kim = { ...bundle, principals: bundle.principals.map((p) => (p.id === 'kim' ? { ...p, disabled: true } : p)) };
  // sam administers through a/inner in a/keys.
  expect(shortAfter(bundle, kim)).toEqual([]);
  expect(shortAfter(bundle, kim, [{ role: 'key-administrator', atLeast: 2 }])).toEqual([
    { role: 'key-administrator', atLeast: 2, left: 1 },
  ]);
  const sam = { ...bundle, principals: bundle.principals.map((p) => (p.id === 'sam' ? { ...p, disabled: true } : p)) };
  expect(shortAfter(bundle, sam)).toEqual([{ role: 'security-officer', atLeast: 1, left: 0 }]);
  // Too few already, and this takes none.
  expect(shortAfter(sam, withoutAssignments(sam, named('grant:night')))).toEqual([]);
});

test('whoever leaves is disabled with nothing left, and service accounts go to whoever takes them', () => {
  const owned: PolicyBundle = { ...bundle, principals: bundle.principals.map((p) => (p.id === 'app' ? { ...p, owner: 'kim' } : p)) };
  const alone = offboarded(owned, 'kim', undefined);
  expect([alone.owned, alone.handedOver, alone.taken.length]).toEqual([['app'], [], 4]);
  expect(alone.bundle?.principals.map((p) => [p.id, p.disabled, 'owner' in p ? p.owner : undefined])).toEqual([
    ['kim', true, undefined],
    ['sam', false, undefined],
    ['app', false, 'kim'],
  ]);
  const { bundle: after } = offboarded(alone.bundle!, 'kim', 'sam');
  expect(after?.principals.find(({ id }) => id === 'app')).toMatchObject({ owner: 'sam' });
  expect(assignmentsOf(after!).filter(({ principal: id }) => id === 'kim')).toEqual([]);
  expect(offboarded(after!, 'kim', 'sam').bundle).toBeUndefined();
});

test('of whatever is taken, exactly that is gone from the assignments, and the bundle stays valid', () => {
  const all = assignmentsOf(bundle);
  fc.assert(
    fc.property(fc.subarray(all), (taken) => {
      const left = assignmentsOf(withoutAssignments(bundle, taken)).map(({ id }) => id);
      expect(left).toEqual(all.filter((one) => !taken.includes(one)).map(({ id }) => id));
    }),
  );
  expect(validateBundle(withoutAssignments(bundle, all))).toEqual([]);
});
