import { bundleFormat, type PolicyBundle } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { driftOf } from '../src/policy-check/drift';

const policy = (id: string, condition = '') => `@id("${id}") @control("c") permit (principal, action, resource)${condition};\n`;
const bundle = (changes: Partial<PolicyBundle> = {}): PolicyBundle => ({
  ...{ format: bundleFormat, revision: 1, policies: policy('a') + policy('b'), schema: 's', publishedAt: '2026-01-01T00:00:00.000Z' },
  ...{ principals: [], roles: [{ id: 'auditor', description: 'reads', revision: 1 }], grants: [] },
  ...changes,
});

test('order, white space, revisions and a missing empty part are no drift', () => {
  const running = bundle({
    revision: 9,
    policies: policy('b') + policy('a').replace(' permit', '\n\npermit'),
    groups: [],
    roles: [{ description: 'reads', revision: 7, id: 'auditor' }],
  });
  expect(driftOf(running, bundle())).toEqual([]);
});

test('access that was asked for and approved, and what has to be reviewed, is no drift; a grant that nobody asked for is', () => {
  const grant = { id: 'g', principal: 'otto', role: 'auditor', revision: 1 };
  const change = `ch_${'A'.repeat(22)}`;
  const elevated = { by: 'request' as const, rules: ['r'], change, reason: 'x', approvedBy: ['sofia'] };
  const review = { id: 'jit-1' } as NonNullable<PolicyBundle['breakGlassReviews']>[number];
  expect(driftOf(bundle({ grants: [{ ...grant, elevated }], breakGlassReviews: [review] }), bundle())).toEqual([]);
  expect(driftOf(bundle({ grants: [grant] }), bundle())).toEqual([{ part: 'grants', id: 'g', how: 'only runs' }]);
});

test('what only runs, is only committed, or differs is told by its id and fields', () => {
  const running = bundle({
    policies: policy('a', ' when { context.mfa }') + policy('c'),
    roles: [{ id: 'auditor', description: 'writes', revision: 1 }],
    schema: 't',
  });
  expect(driftOf(running, bundle())).toEqual([
    { part: 'policies', id: 'a', how: 'differs', fields: ['conditions'] },
    { part: 'policies', id: 'b', how: 'only committed' },
    { part: 'policies', id: 'c', how: 'only runs' },
    { part: 'roles', id: 'auditor', how: 'differs', fields: ['description'] },
    { part: 'schema', how: 'differs' },
  ]);
});
