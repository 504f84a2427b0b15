import { Algorithm, Classification, Environment, KeyState, KeyUsage } from '@claviger/contracts';
import { edgesOf } from './address-range';
import { another, type Reading, type Readings, reading, type Variable } from './readings';

/** Absent is undefined. */
export type Value = boolean | number | string | readonly string[] | undefined;

/** For each variable the values that stand for all: what policies compare with, what is beside it, and absence where the schema allows it. */
export interface Domain {
  readonly variables: readonly Variable[];
  readonly values: ReadonlyMap<Variable, readonly Value[]>;
}

/** Whoever asks, where no policy names them. */
export const somebody = 'somebody';
const third = 'a-third';
/** A Monday noon and other hours of a week, UTC: for policies that look at more of the time than thresholds. */
const hours = ['2026-06-01T12:00:00Z', '2026-06-01T03:00:00Z', '2026-06-01T20:00:00Z', '2026-06-06T12:00:00Z'].map((time) =>
  Date.parse(time),
);
export const noon = hours[0]!;
const addresses = ['203.0.113.77', '2001:db8::77', '127.0.0.1'];

const enumerations: Readonly<Record<Variable, readonly string[]>> = {
  'principal.kind': ['person', 'service'],
  'newOwner.kind': ['person', 'service'],
  'resource.environment': Environment.options,
  'resource.classification': Classification.options,
  'resource.algorithm': Algorithm.options,
  'resource.usage': KeyUsage.options,
  'resource.state': KeyState.options,
};
const booleans = new Set(['context.mfa', 'context.granted']);
const sets = new Set(['resource.consumers', 'resource.residency']);
const optional = new Set([
  'resource.state',
  'resource.createdBy',
  'resource.residency',
  'context.ip',
  'context.acr',
  'context.sessionAgeSeconds',
  'newOwner.id',
]);
const open = new Set([
  'principal.id',
  'resource.id',
  'resource.owner',
  'resource.createdBy',
  'context.authMethod',
  'context.acr',
  'newOwner.id',
]);

const isBoolean = (variable: Variable): boolean => booleans.has(variable) || /^(newOwner\.)?(role|group):/.test(variable);
const isTag = (variable: Variable): boolean => /^(resource|context\.encryptionContext)\.tag:/.test(variable);
/** Elements of a set up to which every subset is tried. */
const subsetsOf = 4;

/** What of these readings finitely many values do not cover, in words, goes into `inexact`. */
export function domainOf(all: readonly Pick<Readings, 'variables'>[], inexact: Set<string>): Domain {
  const merged = new Map<Variable, Reading>();
  for (const { variables } of all) {
    for (const [variable, read] of variables) {
      const known = reading(merged, variable);
      for (const part of ['strings', 'numbers', 'instants', 'ranges', 'peers'] as const)
        for (const value of read[part]) (known[part] as Set<unknown>).add(value);
    }
  }
  // Who the new owner is can only be told apart where there is one.
  if ([...merged.keys()].some((variable) => variable.startsWith('newOwner.'))) reading(merged, 'newOwner.id');
  const variables = [...merged.keys()].sort();
  const values = new Map(variables.map((variable) => [variable, valuesOf(variable, merged, inexact)] as const));
  return { variables, values };
}

function valuesOf(variable: Variable, merged: ReadonlyMap<Variable, Reading>, inexact: Set<string>): readonly Value[] {
  const { numbers, instants, ranges } = merged.get(variable)!;
  const absent: Value[] = optional.has(variable) || isTag(variable) ? [undefined] : [];
  if (isBoolean(variable)) return [false, true];
  if (variable === 'context.now') return instants.size > 0 ? [...around(instants), ...hours] : hours;
  if (variable === 'context.sessionAgeSeconds') return [...absent, ...(numbers.size > 0 ? around(numbers).filter((n) => n >= 0) : [60])];
  if (variable === 'context.ip') return [...new Set([...absent, ...addresses, ...[...ranges].flatMap(edgesOf)])];
  const members = enumerations[variable];
  const { strings, peers } = classOf(variable, merged);
  if (members) {
    const named = members.filter((member) => strings.has(member));
    const other = members.find((member) => !strings.has(member));
    return [...absent, ...(other === undefined ? [] : [other]), ...named];
  }
  // A key of no name is what most are.
  if (variable === 'resource.id') return [another, ...strings];
  if (sets.has(variable)) return [...absent, ...subsets([...strings, ...(peers.has('principal.id') ? [somebody] : [])], variable, inexact)];
  if (!open.has(variable) && !isTag(variable)) {
    inexact.add(`${variable} is not varied`);
    return [undefined];
  }
  if (variable === 'principal.id') return [somebody, ...strings];
  // Two that are compared with each other, not only with who asks, can be a third one.
  const direct = new Set(merged.get(variable)!.peers);
  direct.delete('principal.id');
  const others = [another, ...(peers.has('principal.id') || variable === 'newOwner.id' ? [somebody] : [])];
  return [...new Set([...absent, ...others, ...(direct.size > 0 ? [third] : []), ...strings])];
}

/** Strings that this variable, or one that it is compared with, directly or not, is compared with; and those variables. */
function classOf(variable: Variable, merged: ReadonlyMap<Variable, Reading>): { strings: Set<string>; peers: Set<Variable> } {
  const reached = new Set([variable]);
  const strings = new Set<string>();
  for (const each of reached) {
    const read = merged.get(each);
    for (const text of read?.strings ?? []) strings.add(text);
    for (const peer of read?.peers ?? []) reached.add(peer);
  }
  reached.delete(variable);
  return { strings, peers: reached };
}

function subsets(elements: readonly string[], variable: Variable, inexact: Set<string>): readonly (readonly string[])[] {
  const distinct = [...new Set(elements)];
  if (distinct.length > subsetsOf) {
    inexact.add(`${variable} is compared with ${distinct.length} values: tried are none, each alone, and all`);
    return [[], ...distinct.map((element) => [element]), distinct];
  }
  return Array.from({ length: 2 ** distinct.length }, (_, bits) => distinct.filter((_element, at) => (bits >> at) & 1));
}

/** On each threshold and just beside it. */
const around = (thresholds: Iterable<number>): number[] =>
  [...new Set([...thresholds].flatMap((at) => [at - 1, at, at + 1]))].sort((a, b) => a - b);
