import type { Action } from '@claviger/contracts';
import type { CompiledPolicies } from './compiled-policies';
import { contextReads } from './context-reads';

/** Facts about a request, beside who asks for what and when, that a record of it may not hold. */
export const requestFacts = ['mfa', 'authMethod', 'acr', 'sessionAgeSeconds', 'ip', 'newOwner'] as const;
export type RequestFact = (typeof requestFacts)[number];

/** Which of them the policies for an action can read: without those nobody can say how it would be decided. */
export function factsReadBy({ byAction }: CompiledPolicies): ReadonlyMap<Action, readonly RequestFact[]> {
  return new Map(
    [...byAction].map(([action, { policies }]) => {
      const { whole, attributes } = contextReads(policies.map(({ json }) => json));
      return [action, requestFacts.filter((fact) => whole || attributes.has(fact))] as const;
    }),
  );
}
