import type { Action, PolicyBundle } from '@claviger/contracts';
import type { CompiledPolicies } from '../compiled-policies';
import type { Decision } from '../decision';
import type { AuthorizationRequest } from '../request';
import { type Subject, subjectsOf } from '../subjects';
import { ascending, placeAmong } from '../thresholds';
import { type Reading, readingsOf, type Variable } from './readings';

interface Reads {
  readonly strings: readonly Variable[];
  readonly sets: readonly Variable[];
  readonly others: readonly Variable[];
  readonly constants: ReadonlySet<string>;
  readonly thresholds: ReadonlyMap<Variable, readonly number[]>;
}

/**
 * Remembers decisions by what the policies can tell requests apart by, however many principals and keys there are: who asks and whose key it is are only
 * compared with each other and with what policies name, so any two requests with the same comparisons are decided alike (renaming what no policy names keeps
 * every `==`, `contains` and `in`). Where policies read more, or a hand-over is asked about, `decide` is asked each time. For replays, which ask about
 * hundreds of thousands of pairs; `decide` is asked about one real request of each kind.
 */
export function decidingBySituation(
  bundle: Pick<PolicyBundle, 'principals' | 'roles' | 'grants' | 'groups'>,
  compiled: CompiledPolicies,
  decide: (request: AuthorizationRequest) => Decision,
): (request: AuthorizationRequest) => Decision {
  const subjectOf = subjectsOf(bundle);
  const reads = new Map<Action, Reads | undefined>();
  const known = new Map<string, Decision>();
  return (request) => {
    const subject = subjectOf(request.principalId);
    if (!subject || subject.principal.disabled) return decide(request);
    if (!reads.has(request.action)) reads.set(request.action, readsFor(compiled, request.action));
    const read = reads.get(request.action);
    if (!read || request.context.newOwner !== undefined) return decide(request);
    const key = `${request.action} ${situationKey(request, subject, read)}`;
    let decision = known.get(key);
    if (!decision) {
      decision = decide(request);
      if (!(decision.kind === 'deny' && decision.failure)) known.set(key, decision);
    }
    return decision;
  };
}

const isSet = (variable: Variable): boolean => variable === 'resource.consumers' || variable === 'resource.residency';
const isTag = (variable: Variable): boolean => /^(resource|context\.encryptionContext)\.tag:/.test(variable);
const strings = new Set(['principal.id', 'resource.id', 'resource.owner', 'resource.createdBy', 'context.authMethod']);
const enumerated = /^(principal\.kind|resource\.(environment|classification|algorithm|usage|state))$/;
const understood = /^(role:|group:|context\.(mfa|granted|now|sessionAgeSeconds)$)/;

/** Undefined where the policies read what finitely many comparisons do not cover. */
function readsFor({ byAction }: CompiledPolicies, action: Action): Reads | undefined {
  const all = (byAction.get(action)?.policies ?? []).map(({ json }) => readingsOf(json));
  const merged = new Map<Variable, Reading[]>();
  for (const { variables } of all)
    for (const [variable, reading] of variables) merged.set(variable, [...(merged.get(variable) ?? []), reading]);
  const variables = [...merged.keys()].sort();
  const isCovered = (variable: Variable) =>
    strings.has(variable) || isTag(variable) || isSet(variable) || enumerated.test(variable) || understood.test(variable);
  // Two sets that are compared with each other share what neither of them is otherwise compared with.
  const setsCompared = variables.some((variable) => isSet(variable) && merged.get(variable)!.some(({ peers }) => [...peers].some(isSet)));
  if (all.some(({ inexact }) => inexact.size > 0) || setsCompared || !variables.every(isCovered)) return undefined;
  const thresholdsOf = (variable: Variable) =>
    ascending(merged.get(variable)!.flatMap(({ numbers, instants }) => [...(variable === 'context.now' ? instants : numbers)]));
  const timed = variables.filter((variable) => variable === 'context.now' || variable === 'context.sessionAgeSeconds');
  return {
    strings: variables.filter((variable) => strings.has(variable) || isTag(variable)),
    sets: variables.filter(isSet),
    others: variables.filter((variable) => !strings.has(variable) && !isTag(variable) && !isSet(variable)),
    constants: new Set([...merged.values()].flat().flatMap((reading) => [...reading.strings])),
    thresholds: new Map(timed.map((variable) => [variable, thresholdsOf(variable)])),
  };
}

function situationKey(
  request: AuthorizationRequest,
  subject: Subject,
  { strings: named, sets, others, constants, thresholds }: Reads,
): string {
  const names = new Map<string, string>();
  /** What no policy names is told apart by the order in which it comes. */
  const nameOf = (text: string): string => {
    if (constants.has(text)) return `=${text.length}:${text}`;
    const name = names.get(text) ?? `#${names.size}`;
    names.set(text, name);
    return name;
  };
  let key = '';
  for (const variable of named) {
    const text = stringAt(variable, request);
    key += text === undefined ? '-' : nameOf(text);
  }
  for (const variable of sets) {
    const elements = setAt(variable, request);
    if (elements === undefined) key += '-';
    else {
      const seen = elements.filter((element) => constants.has(element) || names.has(element)).map(nameOf);
      key += `{${[...new Set(seen)].sort().join(',')}${seen.length < elements.length ? '+' : ''}}`;
    }
  }
  for (const variable of others) key += `;${otherAt(variable, request, subject, thresholds)}`;
  return key;
}

function stringAt(variable: Variable, { principalId, resource, context }: AuthorizationRequest): string | undefined {
  if (variable === 'principal.id') return principalId;
  if (variable === 'resource.id') return resource.id;
  if (variable === 'context.authMethod') return context.authMethod;
  const [, tag] = /\.tag:(.*)$/s.exec(variable) ?? [];
  const tags = variable.startsWith('context.') ? context.encryptionContext : resource.type === 'Key' ? resource.attrs.tags : undefined;
  if (tag !== undefined) return tags && Object.hasOwn(tags, tag) ? tags[tag] : undefined;
  if (resource.type !== 'Key') return undefined;
  return variable === 'resource.owner' ? resource.attrs.owner : resource.attrs.createdBy;
}

const setAt = (variable: Variable, { resource }: AuthorizationRequest): readonly string[] | undefined =>
  resource.type !== 'Key' ? undefined : variable === 'resource.consumers' ? resource.attrs.consumers : resource.attrs.residency;

function otherAt(
  variable: Variable,
  { action, resource, context }: AuthorizationRequest,
  subject: Subject,
  thresholds: ReadonlyMap<Variable, readonly number[]>,
): string | number | boolean | undefined {
  const at = (value: number | undefined) => (value === undefined ? '-' : placeAmong(thresholds.get(variable)!, value));
  if (variable.startsWith('role:')) return subject.rolesAt(context.nowMs).includes(variable.slice(5));
  if (variable.startsWith('group:')) return subject.groups.includes(variable.slice(6));
  if (variable === 'principal.kind') return subject.principal.kind;
  if (variable === 'context.mfa') return context.mfa;
  if (variable === 'context.granted')
    return resource.type === 'Key' && subject.isGranted(action, resource.id, context.nowMs, context.encryptionContext);
  if (variable === 'context.now') return at(context.nowMs);
  if (variable === 'context.sessionAgeSeconds') return at(context.sessionAgeSeconds);
  return resource.type === 'Key' ? String(resource.attrs[variable.slice('resource.'.length) as 'environment']) : undefined;
}
