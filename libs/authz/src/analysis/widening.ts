import { createHash } from 'node:crypto';
import { type Action, actions, actionTable } from '@claviger/contracts';
import type { CompiledPolicies } from '../compiled-policies';
import type { Decision } from '../decision';
import { type Domain, domainOf } from './domain';

import { type Analysed, analyse } from './satisfaction';
import { type Situation, situationText } from './situation';
import { everyCombination, product, situationAt, situationsAtMost, type Table, tableOf } from './table';
import { changeOf, decideAt, type Verdict, verdict, widens } from './verdict';

export interface Widening {
  /** To acknowledge it by: what it is, not when it was found, with a hash of what changed and of what decides. */
  readonly id: string;
  readonly action: Action;
  readonly from: Verdict;
  readonly to: Verdict;
  /** Roles and groups that it takes, none fewer: `role:auditor`. */
  readonly holders: readonly string[];
  /** Of the newer set, those that decide. */
  readonly policies: readonly string[];
  /** One of the situations, without what does not matter to it. */
  readonly example: string;
  /** Situations like this. */
  readonly situations: number;
}
export interface Comparison {
  readonly widenings: readonly Widening[];
  /** Situations in which less is allowed than before. */
  readonly narrowed: number;
  /** Situations that were compared. */
  readonly compared: number;
  /** Actions that have too many situations to compare all. */
  readonly notCompared: readonly Action[];
  /** What finitely many values do not cover, in words. */
  readonly inexact: readonly string[];
  /** Changes of which it cannot be said that they widen nothing: not compared, or by examples only. */
  readonly unsure: readonly Unsure[];
}
export interface Unsure {
  /** To acknowledge it by. */
  readonly id: string;
  readonly example: string;
}

/**
 * Everything that `newer` allows and `older` does not, over every combination of values that either can tell apart (domain.ts), by Cedar's own answer
 * for each policy alone. Actions that the same policies decide in both are not asked about: they decide alike.
 */
export function widenings(older: CompiledPolicies, newer: CompiledPolicies): Comparison {
  const [before, after] = [analyse(older), analyse(newer)];
  const inexact = new Set<string>();
  const groups = new Map<string, { actions: Action[]; before: Analysed[]; after: Analysed[] }>();
  for (const action of actions) {
    const [was, is] = [of(older, before, action), of(newer, after, action)];
    const readsAction = [...was, ...is].some(({ readings }) => readings.readsAction);
    const key = JSON.stringify([actionTable[action], identities(was), identities(is), readsAction ? action : '']);
    const group = groups.get(key) ?? { actions: [], before: was, after: is };
    group.actions.push(action);
    groups.set(key, group);
  }
  const all = [...groups.values()].map((group) => ({
    actions: group.actions,
    found: compare(group.actions[0]!, group.before, group.after, inexact),
  }));
  return {
    widenings: all.flatMap(({ actions: alike, found }) =>
      alike.flatMap((action) => found.widenings.map((widening) => ofAction(action, widening))),
    ),
    narrowed: sum(all.map(({ actions: { length }, found }) => length * found.narrowed)),
    compared: sum(all.map(({ actions: { length }, found }) => length * found.compared)),
    notCompared: all.flatMap(({ actions: alike, found }) => (found.tooMany ? alike : [])),
    inexact: [...inexact].sort(),
    unsure: all.flatMap(({ actions: alike, found }) =>
      alike.flatMap((action) => found.unsure.map(({ id, example: why }) => ({ id: `${action}: ${id}`, example: why }))),
    ),
  };
}

const of = ({ byAction, missing }: CompiledPolicies, analysed: ReadonlyMap<string, Analysed>, action: Action): Analysed[] =>
  missing.includes(action) ? [] : byAction.get(action)!.policies.map(({ id }) => analysed.get(id)!);
const identities = (policies: readonly Analysed[]): string[] => policies.map(({ identity }) => identity).sort();
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** Short, and yet long enough that nobody makes another change with the same one (96 bits). */
const hashOf = (policies: readonly Analysed[]): string =>
  createHash('sha256')
    .update(JSON.stringify([...new Set(identities(policies))]))
    .digest('base64url')
    .slice(0, 16);

type Unnamed = Omit<Widening, 'id' | 'action'> & { readonly hash: string };
const ofAction = (action: Action, { hash, ...widening }: Unnamed): Widening => {
  const { from, to, holders, policies } = widening;
  const id = `${action}: ${from} -> ${to}: ${holders.join(' + ') || 'anybody'}: ${policies.join(', ')} #${hash}`;
  return { id, action, ...widening };
};

interface Found {
  widenings: Unnamed[];
  narrowed: number;
  compared: number;
  tooMany: boolean;
  unsure: Unsure[];
}
const none: Found = { widenings: [], narrowed: 0, compared: 0, tooMany: false, unsure: [] };

function compare(action: Action, before: readonly Analysed[], after: readonly Analysed[], inexact: Set<string>): Found {
  const [was, is] = [new Set(identities(before)), new Set(identities(after))];
  const [gone, come] = [before.filter(({ identity }) => !is.has(identity)), after.filter(({ identity }) => !was.has(identity))];
  const changed = [...gone, ...come];
  if (changed.length === 0) return none;
  const everybody = [...before, ...after];
  for (const { policy, readings } of everybody) for (const why of readings.inexact) inexact.add(`policy ${policy.id}: ${why}`);
  const domain = domainOf(
    everybody.map(({ readings }) => readings),
    inexact,
  );
  const tooMany: Found = {
    ...none,
    tooMany: true,
    unsure: [{ id: `not compared #${hashOf(changed)}`, example: 'more situations than are compared: split its conditions' }],
  };
  const tables = new Map<Analysed, Table>();
  for (const analysed of everybody) {
    const table = tableOf(analysed, action, domain);
    if (!table) return tooMany;
    tables.set(analysed, table);
  }
  const tablesOf = (policies: readonly Analysed[]) => policies.map((analysed) => tables.get(analysed)!);
  const outer = [...new Set(tablesOf(changed).flatMap(({ reads }) => reads))];
  const inner = domain.variables.map((_, at) => at).filter((at) => !outer.includes(at));
  const lengths = (at: readonly number[]) => at.map((variable) => domain.values.get(domain.variables[variable]!)!.length);
  if (product(lengths(outer)) > situationsAtMost) return tooMany;

  const [tablesBefore, tablesAfter, tablesChanged] = [tablesOf(before), tablesOf(after), tablesOf(changed)];
  const perOuter = product(lengths(inner));
  const digits = domain.variables.map(() => 0);
  const seen = new Map<string, Group>();
  const found = { ...none };
  everyCombination(outer, domain, digits, () => {
    // Where none of the changed policies says anything, nothing changed.
    if (found.tooMany || tablesChanged.every((table) => table.at(digits) === 'no')) {
      found.compared += perOuter;
      return;
    }
    if (found.compared + perOuter > situationsAtMost && perOuter > 1) found.tooMany = true;
    else
      everyCombination(inner, domain, digits, () => {
        found.compared += 1;
        const [older, newer] = [decideAt(tablesBefore, digits), decideAt(tablesAfter, digits)];
        if (widens(older, newer)) remember(seen, older, newer, digits, domain);
        else if (widens(newer, older)) found.narrowed += 1;
      });
  });
  if (found.tooMany) return tooMany;
  const change = (at: readonly number[]) => changeOf(decideAt(tablesBefore, at), decideAt(tablesAfter, at));
  const hashed = (ids: readonly string[]) => hashOf([...changed, ...after.filter(({ policy }) => ids.includes(policy.id))]);
  return {
    ...found,
    widenings: leastOf([...seen.values()].flatMap((group) => told(group, domain, change, hashed(group.policies)))),
    unsure: byExamples(gone, come),
  };
}

/** A new forbid alone takes something away, whatever it reads; of anything else that reads more than is compared, examples say too little. */
function byExamples(gone: readonly Analysed[], come: readonly Analysed[]): Unsure[] {
  if (gone.length === 0 && come.every(({ policy }) => policy.effect === 'forbid')) return [];
  const changed = [...gone, ...come];
  const whys = new Set(changed.flatMap(({ policy, readings }) => [...readings.inexact].map((why) => `policy ${policy.id}: ${why}`)));
  domainOf(
    changed.map(({ readings }) => readings),
    whys,
  );
  return whys.size === 0 ? [] : [{ id: `compared by examples #${hashOf(changed)}`, example: [...whys].sort().join('; ') }];
}

/** What fewer holders and fewer policies tell already is told once. */
const leastOf = (all: readonly Unnamed[]): Unnamed[] =>
  all.filter(
    (one) =>
      !all.some(
        (other) =>
          other !== one &&
          other.from === one.from &&
          other.to === one.to &&
          other.policies.length < one.policies.length &&
          other.policies.every((id) => one.policies.includes(id)) &&
          other.holders.every((held) => one.holders.includes(held)),
      ),
  );

interface Group {
  from: Verdict;
  to: Verdict;
  policies: readonly string[];
  change: string;
  /** By the roles and groups that are held. */
  holders: Map<string, { held: readonly string[]; digits: number[]; situations: number }>;
}

const isHeld = /^(role|group):/;

function remember(seen: Map<string, Group>, older: Decision, newer: Decision, digits: readonly number[], domain: Domain): void {
  const change = changeOf(older, newer);
  const group = seen.get(change) ?? { from: verdict(older), to: verdict(newer), policies: newer.policyIds, change, holders: new Map() };
  seen.set(change, group);
  const held = domain.variables.filter((variable, at) => isHeld.test(variable) && domain.values.get(variable)![digits[at]!] === true);
  const key = held.join(' ');
  const known = group.holders.get(key);
  if (known) known.situations += 1;
  else group.holders.set(key, { held, digits: [...digits], situations: 1 });
}

/** Of the sets of holders those that contain no other. */
function told(group: Group, domain: Domain, change: (digits: readonly number[]) => string, hash: string): Unnamed[] {
  const all = [...group.holders.values()];
  const least = all.filter(
    ({ held }) => !all.some((other) => other.held.length < held.length && other.held.every((role) => held.includes(role))),
  );
  return least.map(({ held, digits, situations }) => ({
    ...{ from: group.from, to: group.to, holders: held, policies: group.policies, situations, hash },
    example: situationText(example(digits, domain, held, (at) => change(at) === group.change)),
  }));
}

/** Without the variables of which any other value would do as well. */
function example(
  digits: readonly number[],
  domain: Domain,
  held: readonly string[],
  alike: (digits: readonly number[]) => boolean,
): Situation {
  const matters = domain.variables
    .map((_, at) => at)
    .filter((at) => {
      const variable = domain.variables[at]!;
      if (isHeld.test(variable)) return held.includes(variable);
      return domain.values.get(variable)!.some((_value, digit) => !alike(digits.with(at, digit)));
    });
  return situationAt(matters, digits, domain);
}
