import type { Action, Grant, PolicyBundle, Principal } from '@claviger/contracts';
import { cedarRequest } from './cedar-request';
import { ask, type CompiledPolicies } from './compiled-policies';
import { contextLens } from './context-lens';
import { type Decision, denied } from './decision';
import type { RequestContext, Resource } from './request';
import { settle } from './settle';
import { subjectsOf } from './subjects';

/** A question as a policy test puts it: people as they are said to be, whoever the bundle knows. */
export interface PolicyQuestion {
  readonly principal: Principal;
  readonly action: Action;
  readonly resource: Resource;
  readonly context: Omit<RequestContext, 'newOwner'>;
  readonly newOwner?: Principal;
  readonly grants: readonly Grant[];
  readonly groups: NonNullable<PolicyBundle['groups']>;
}

const everything = contextLens({ whole: true, attributes: new Map() });

/** As the evaluator decides, with the people of the question in place of those of the bundle, and nothing remembered. */
export function decideQuestion({ roles }: Pick<PolicyBundle, 'roles'>, compiled: CompiledPolicies, question: PolicyQuestion): Decision {
  const { principal, action, resource, context, newOwner, grants, groups } = question;
  const people = newOwner && newOwner.id !== principal.id ? [principal, newOwner] : [principal];
  const find = subjectsOf({ principals: [...people], roles: [...roles], grants: [...grants], groups: [...groups] });
  if (principal.disabled) return denied('disabled-principal');
  if (compiled.missing.includes(action)) return denied('action-not-in-schema');
  const request = cedarRequest(
    { principalId: principal.id, action, resource, context },
    find(principal.id)!,
    everything,
    newOwner === undefined || newOwner.disabled ? undefined : find(newOwner.id),
  );
  try {
    return settle(ask(compiled, action, compiled.known(request)), compiled.policies);
  } catch (cause) {
    return denied('evaluation-failed', [], (cause as Error).message);
  }
}
