import { actions, actionTable, Classification, Environment } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { claviger, Evaluator } from '../src/index';
import { expected, type MatrixRole, matrixRoles, matrixWords, roleMatrix, type Situation } from './role-matrix';
import { bundleOf, context, key, principal, starter } from './starter-set';

const both = [true, false];
const grid = (environments: readonly string[], classifications: readonly string[]): Situation[] =>
  environments.flatMap((environment) =>
    classifications.flatMap((classification) => both.flatMap((own) => both.map((mfa) => ({ environment, classification, own, mfa })))),
  );
const everything = grid(Environment.options, Classification.options);
/** Where policies make a difference; what they say of one role is asked for everything. */
const telling = grid(['development', 'production'], ['internal', 'restricted']);
const aboutSystem = grid(['-'], ['-']).filter(({ own }) => !own);

const pairs = matrixRoles.flatMap((one, index) => matrixRoles.slice(index + 1).map((other): readonly MatrixRole[] => [one, other]));
const single = [[], ...matrixRoles.map((role): readonly MatrixRole[] => [role])];
const everybody: readonly (readonly MatrixRole[])[] = [...single, ...pairs];
const idOf = (roles: readonly MatrixRole[]) => `caller-${everybody.indexOf(roles)}`;

const evaluator = new Evaluator();
const loaded = evaluator.load(
  bundleOf([
    ...everybody.map((roles) => principal(idOf(roles), [...roles], { kind: roles.includes('application') ? 'service' : 'person' })),
    principal('heir', ['application-owner']),
  ]),
);

/** Where the policies decide otherwise than the table says. */
function differences(roles: readonly MatrixRole[], situations: readonly Situation[]): string[] {
  const id = idOf(roles);
  return actions.flatMap((action) =>
    (actionTable[action] === 'Key' ? situations : aboutSystem).flatMap((situation) => {
      const { environment, classification, own, mfa } = situation;
      const attrs = { environment, classification, owner: own ? id : 'somebody', consumers: [own ? id : 'somebody-else'] };
      const about = actionTable[action] === 'Key' ? key(attrs) : claviger;
      const more = action === 'keys:SetOwner' ? { newOwner: 'heir' } : {};
      const { kind, policyIds } = evaluator.decide({ principalId: id, action, resource: about, context: context({ mfa, ...more }) });
      const wanted = expected(action, roles, situation);
      const where = `${roles.join(' and ') || 'nobody'}: ${action}, ${classification} ${environment} key, own ${own}, mfa ${mfa}`;
      return kind === wanted ? [] : [`${where}: expected ${wanted}, is ${kind} by ${policyIds.join(', ') || 'no policy'}`];
    }),
  );
}

test('the table has a row for every action and a column for every role, in words that it explains', () => {
  expect(loaded).toMatchObject({ ok: true });
  expect(Object.keys(roleMatrix).sort()).toEqual([...actions].sort());
  expect([...matrixRoles].sort()).toEqual(starter.roles.map(({ id }) => id).sort());
  const words = Object.values(roleMatrix).flatMap((cells) => cells.flatMap((cell) => cell.split(' ')));
  expect([...new Set(words)].filter((word) => !Object.hasOwn(matrixWords, word))).toEqual([]);
});

test.each(single.map((roles) => [roles.join() || 'no role', roles] as const))(
  '%s: every action, environment, classification, second factor and owner is decided as the table says',
  (_, roles) => {
    expect(differences(roles, roles.length === 0 ? telling : everything)).toEqual([]);
  },
);

test('two roles: what either may, unless one of them never may, and with approval where one of them takes it', () => {
  expect(pairs.flatMap((roles) => differences(roles, telling))).toEqual([]);
});
