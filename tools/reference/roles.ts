import { type Action, actions, actionTable } from '@claviger/contracts';
import { matrixRoles, matrixWords, roleMatrix } from '../../libs/authz/test/role-matrix';
import { code, table } from './table';

/** Text of docs/roles.md: the table that the starter policies are tested against, and nothing else. */
export const renderRoles = (): string =>
  [
    '# Roles',
    'Who may do what by the starter policies (`deploy/policies/starter`). Made from `libs/authz/test/role-matrix.ts` by `npm run docs`; `libs/authz/test/role-matrix.spec.ts` asks the policies for every role, every pair of roles, action, environment, classification, second factor, and own and other keys, and fails where they decide otherwise or an action has no row. Do not edit.',
    'Nobody without a role may do anything. Whoever has two roles may do what either may, but what one of them does only with approval takes approval. Grants give a role, or one action on one key, for a time. Policies that are added change what is said here: `claviger policy show` and `claviger policy test` speak of those in force.',
    table(
      ['says', 'means'],
      Object.entries(matrixWords).map(([word, meaning]) => [code(word), meaning]),
    ),
    '## Actions about a key',
    rows('Key'),
    '## Actions about the system',
    rows('System'),
  ]
    .join('\n\n')
    .concat('\n');

const rows = (about: (typeof actionTable)[Action]): string =>
  table(
    ['action', ...matrixRoles],
    actions.filter((action) => actionTable[action] === about).map((action) => [code(action), ...roleMatrix[action]]),
  );
