import type { AuthorizationAnswer } from '@cedar-policy/cedar-wasm/nodejs';

/**
 * What Cedar would have said of all the policies at once, from what it said of parts of them: a forbid denies, else a permit allows, else it is denied; an
 * error of any policy stays one (https://docs.cedarpolicy.com/auth/authorization.html). At least one answer.
 */
export function together(answers: readonly AuthorizationAnswer[]): AuthorizationAnswer {
  const failed = answers.find(({ type }) => type === 'failure');
  if (failed) return failed;
  const good = answers as Extract<AuthorizationAnswer, { type: 'success' }>[];
  if (good.length === 1) return good[0]!;
  const said = good.map(({ response }) => response);
  const errors = said.flatMap(({ diagnostics }) => diagnostics.errors);
  // Of a denial the reasons are the forbids; without any it is for want of a permit.
  const forbids = said.filter(({ decision }) => decision === 'deny').flatMap(({ diagnostics }) => diagnostics.reason);
  const permits = said.filter(({ decision }) => decision === 'allow').flatMap(({ diagnostics }) => diagnostics.reason);
  const decision = forbids.length === 0 && permits.length > 0 ? 'allow' : 'deny';
  const reason = forbids.length > 0 ? forbids : permits;
  return {
    type: 'success',
    response: { decision, diagnostics: { reason, errors } },
    warnings: good.flatMap(({ warnings }) => warnings),
  };
}
