import { type Action, actions, actionTable, type PolicyBundle } from '@claviger/contracts';
import type { CompiledPolicies } from '../compiled-policies';
import { domainOf } from './domain';
import { type Analysed, analyse } from './satisfaction';
import { everyCombination, product, situationsAtMost, tableOf } from './table';

/** A policy that changes no decision, and why. `certain`: in no request at all; otherwise in none of those that were tried. */
export interface Ineffective {
  readonly policy: string;
  readonly why: string;
  readonly certain: boolean;
}

/** Policies that can never apply, or that a forbid always overrides. Looked for by Cedar's own answers over every combination of what they read. */
export function ineffectivePolicies(bundle: Pick<PolicyBundle, 'roles' | 'groups'>, compiled: CompiledPolicies): Ineffective[] {
  const analysed = analyse(compiled);
  return [...compiled.policies.keys()].flatMap((id) => {
    const policy = analysed.get(id)!;
    const found = unknownHolders(policy, bundle) ?? inEffect(policy, compiled, analysed);
    return found === undefined ? [] : [{ policy: id, ...found }];
  });
}

type Verdict = Pick<Ineffective, 'why' | 'certain'>;

/** A role or group in the scope that is not in the bundle: nobody can hold it. */
function unknownHolders({ policy }: Analysed, { roles, groups = [] }: Pick<PolicyBundle, 'roles' | 'groups'>): Verdict | undefined {
  const { principal } = policy.json;
  const within = principal.op === 'in' && 'entity' in principal ? principal.entity : undefined;
  const uid = within === undefined ? undefined : '__entity' in within ? within.__entity : within;
  if (uid === undefined) return undefined;
  const known = uid.type.endsWith('Role')
    ? roles.some(({ id }) => id === uid.id)
    : groups.some(({ tenant, id }) => `${tenant}/${id}` === uid.id);
  return known
    ? undefined
    : { why: `nobody can hold ${uid.type.split('::').at(-1)} ${uid.id}: the bundle has none of that name`, certain: true };
}

function inEffect(policy: Analysed, { byAction }: CompiledPolicies, analysed: ReadonlyMap<string, Analysed>): Verdict | undefined {
  const { id, effect } = policy.policy;
  const inScope = actions.filter((action) => byAction.get(action)!.policies.some((other) => other.id === id));
  if (inScope.length === 0) return { why: 'its scope holds no action', certain: true };
  const representatives = policy.readings.readsAction ? inScope : firstOfEach(inScope, (action) => actionTable[action]);
  if (!representatives.some((action) => applies(policy, action)))
    return policy.readings.inexact.size > 0
      ? { why: `it applied in no situation that was tried (${[...policy.readings.inexact].join('; ')})`, certain: false }
      : { why: 'its scope and conditions hold in no request', certain: true };
  if (effect === 'forbid') return undefined;
  const forbidsOf = (action: Action) =>
    byAction
      .get(action)!
      .policies.filter((other) => other.effect === 'forbid')
      .map((other) => analysed.get(other.id)!);
  const distinct = firstOfEach(inScope, (action) =>
    JSON.stringify([actionTable[action], policy.readings.readsAction && action, forbidsOf(action).map(({ identity }) => identity)]),
  );
  const overrules = distinct.map((action) => overruled(policy, forbidsOf(action), action));
  if (!overrules.every((forbids) => forbids !== undefined)) return undefined;
  const forbids = [...new Set(overrules.flat())];
  return { why: `wherever it applies, a forbid does: ${forbids.join(', ')}`, certain: policy.readings.inexact.size === 0 };
}

const firstOfEach = (all: readonly Action[], key: (action: Action) => string): Action[] => [
  ...new Map([...all].reverse().map((action) => [key(action), action])).values(),
];

/** True too where there are too many situations to try. */
function applies(policy: Analysed, action: Action): boolean {
  const domain = domainOf([policy.readings], new Set());
  const table = tableOf(policy, action, domain);
  if (!table) return true;
  const digits = domain.variables.map(() => 0);
  let found = false;
  everyCombination(table.reads, domain, digits, () => {
    found ||= table.at(digits) !== 'no';
  });
  return found;
}

/** The forbids that are in force wherever the policy applies; undefined where it takes effect somewhere, or there are too many situations to know. */
function overruled(policy: Analysed, forbids: readonly Analysed[], action: Action): string[] | undefined {
  if (forbids.length === 0) return undefined;
  const domain = domainOf(
    [policy, ...forbids].map(({ readings }) => readings),
    new Set(),
  );
  const table = tableOf(policy, action, domain);
  const others = forbids.map((forbid) => tableOf(forbid, action, domain));
  if (!table || others.includes(undefined)) return undefined;
  const rest = domain.variables.map((_, at) => at).filter((at) => !table.reads.includes(at));
  const size = product(domain.variables.map((variable) => domain.values.get(variable)!.length));
  if (size > situationsAtMost) return undefined;
  const digits = domain.variables.map(() => 0);
  const overruling = new Set<string>();
  let effective = false;
  everyCombination(table.reads, domain, digits, () => {
    if (effective || table.at(digits) !== 'yes') return;
    everyCombination(rest, domain, digits, () => {
      if (effective) return;
      const forbid = others.find((other) => other!.at(digits) !== 'no');
      if (forbid) overruling.add(forbid.analysed.policy.id);
      else effective = true;
    });
  });
  return effective ? undefined : [...overruling];
}
