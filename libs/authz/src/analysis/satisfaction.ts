import { type Action, actionTable } from '@claviger/contracts';
import { cedar } from '../cedar';
import type { CompiledPolicies } from '../compiled-policies';
import type { Policy } from '../policy-set';
import type { Value } from './domain';
import { type Readings, readingsOf, type Variable } from './readings';
import { requestOf } from './situation';

/** What one policy says of one situation; `error` where it fails while it is evaluated, which denies whatever the others say. */
export type Satisfied = 'no' | 'yes' | 'error';

/** A policy as the analysis sees it: two of the same identity decide alike, whatever they are called. */
export interface Analysed {
  readonly policy: Policy;
  readonly identity: string;
  readonly readings: Readings;
  /** Its own answer alone, by Cedar. Remembered. */
  readonly satisfied: (action: Action, situation: ReadonlyMap<Variable, Value>) => Satisfied;
}

/** Each policy of a compiled set, alone. @throws when Cedar is unusable or cannot express a request */
export function analyse({ slot, policies, known }: CompiledPolicies): ReadonlyMap<string, Analysed> {
  return new Map([...policies.values()].map((policy) => [policy.id, analysePolicy(policy, slot, known)]));
}

function analysePolicy(policy: Policy, slot: string, known: CompiledPolicies['known']): Analysed {
  const { effect, principal, action, resource, conditions } = policy.json;
  const readings = readingsOf(policy.json);
  const answers = new Map<string, Satisfied>();
  const set = `${slot} only ${policy.id}`;
  let held = false;
  const ask = (of: Action, situation: ReadonlyMap<Variable, Value>): Satisfied => {
    if (!held) {
      const answer = cedar.preparsePolicies(set, { staticPolicies: { [policy.id]: policy.text } });
      if (answer.type === 'failure') throw new Error(answer.errors.map(({ message }) => message).join('; '));
      held = true;
    }
    const request = known(requestOf(of, situation));
    const answer = cedar.authorize({ ...request, preparsedPolicySetId: set, preparsedSchemaName: slot, validateRequest: true });
    if (answer.type === 'failure') throw new Error(answer.errors.map(({ message }) => message).join('; '));
    const { errors, reason } = answer.response.diagnostics;
    return errors.length > 0 ? 'error' : reason.includes(policy.id) ? 'yes' : 'no';
  };
  return {
    policy,
    identity: JSON.stringify([effect, principal, action, resource, conditions, policy.approval]),
    readings,
    satisfied: (of, situation) => {
      const key = JSON.stringify([
        readings.readsAction ? of : actionTable[of],
        [...situation].map(([variable, value]) => [variable, value ?? null]),
      ]);
      const remembered = answers.get(key);
      if (remembered !== undefined) return remembered;
      const answer = ask(of, situation);
      answers.set(key, answer);
      return answer;
    },
  };
}
