import type { AuthorizationAnswer } from '@cedar-policy/cedar-wasm/nodejs';
import { type Action, actions } from '@claviger/contracts';
import { scopeIncludes } from './action-groups';
import type { BundleIssue } from './bundle-issue';
import { cedar } from './cedar';
import type { CedarRequest } from './cedar-request';
import { type ContextLens, contextLens } from './context-lens';
import { contextReads } from './context-reads';
import { HeldSets } from './held-sets';
import { partChars as defaultPartChars, type Holder, type Part, type Parts, partsFor } from './policy-parts';
import { cedarIssue, type Policy } from './policy-set';
import { type BundleAge, checkingPolicies, type ReadPolicies, readingPolicies, type Texts } from './read-policies';
import { seesIdentity } from './resource-reads';
import { atOnce, type Work } from './steps';
import { together } from './together';

/** The policies that can be about one action of one principal, what they see of the context, and whether two keys of the same attributes are the same to them. */
export interface Slice {
  /** Of this content: what was decided by it is decided so by the same one of another bundle with the same schema. */
  readonly id: number;
  readonly parts: readonly Part[];
  readonly lens: ContextLens;
  readonly seesIdentity: boolean;
}

/**
 * Policies and schema, ready to be asked: the schema is held by Cedar under the name `slot`, and the policies in parts, since an evaluation costs more with
 * every policy. Only those parts are asked whose scopes can match action and principal.
 */
export interface CompiledPolicies extends ReadPolicies {
  readonly slot: string;
  /** Those whose scope can match the action. */
  readonly byAction: ReadonlyMap<Action, { readonly policies: readonly Policy[]; readonly parts: Parts }>;
  /** Leaves out of a request what the schema does not know, where the bundle is not a new one; of a new one groups only. */
  readonly known: (request: CedarRequest) => CedarRequest;
  readonly held: HeldSets;
  readonly slices: Slices;
}
export type Compilation = { ok: true; compiled: CompiledPolicies } | { ok: false; issues: BundleIssue[] };

export interface CompileOptions {
  /** Begins every name that Cedar holds something under. Two that are compiled under the same one are never used at the same time, but for `previous`. */
  readonly slot: string;
  /** In force until this one is: what both have in common is used again. */
  readonly previous?: CompiledPolicies | undefined;
  readonly partChars?: number | undefined;
}

/** Parsed, validated and compiled without a pause; changes nothing that was compiled under another slot. Throws only when Cedar itself is unusable. */
export const compilePolicies = (bundle: Texts, slot: string, age: BundleAge): Compilation => {
  const reading = atOnce(readingPolicies(bundle, { age }));
  if (!reading.ok) return reading;
  const issues = atOnce(checkingPolicies(reading.read));
  return issues.length > 0 ? { ok: false, issues } : atOnce(compiling(reading.read, { slot }));
};

/** Makes what was read ready to be asked, in steps. Whether it is good is `checkingPolicies` to say. */
export function* compiling(read: ReadPolicies, { slot, previous, partChars = defaultPartChars }: CompileOptions): Work<Compilation> {
  const same = previous?.schema === read.schema ? previous : undefined;
  const name = same?.slot ?? (previous?.slot === `${slot}.a` ? `${slot}.b` : `${slot}.a`);
  if (!same) {
    const answer = cedar.preparseSchema(name, read.schema);
    if (answer.type === 'failure') return { ok: false, issues: answer.errors.map((error) => cedarIssue('schema', error, read.schema)) };
    yield undefined;
  }
  const all = [...read.policies.values()];
  const byAction = new Map<Action, { policies: Policy[]; parts: Parts }>();
  for (const action of actions) {
    const above = read.groups(action);
    const policies = all.filter(({ json }) => scopeIncludes(json, above));
    byAction.set(action, { policies, parts: partsFor(action, policies, partChars) });
    yield undefined;
  }
  const known = read.age === 'new' ? read.declared.grouped : read.declared.known;
  const held = previous?.held ?? new HeldSets(slot);
  return { ok: true, compiled: { ...read, slot: name, byAction, known, held, slices: new Slices(same?.slices) } };
}

/** All the parts of a compiled set that Cedar is asked, each once. */
export const partsOf = ({ byAction }: Pick<CompiledPolicies, 'byAction'>): Part[] => [
  ...new Map([...byAction.values()].flatMap(({ parts }) => parts.all.map((part) => [part.content, part]))).values(),
];

/** Slices by their content, made when they are first asked for. */
export class Slices {
  readonly #known = new Map<string, Slice>();
  /** Those of the set before, for what is unchanged; not of those before that. */
  #before: ReadonlyMap<string, Slice> | undefined;

  constructor(before?: Slices) {
    this.#before = before?.handedOn();
  }

  of(parts: readonly Part[]): Slice {
    const content = parts.map((part) => part.content).join('|');
    const slice = this.#known.get(content) ?? this.#before?.get(content) ?? sliceOf(parts);
    this.#known.set(content, slice);
    return slice;
  }

  private handedOn(): ReadonlyMap<string, Slice> {
    this.#before = undefined;
    return this.#known;
  }
}

let slices = 0;
function sliceOf(parts: readonly Part[]): Slice {
  const read = parts.flatMap(({ policies }) => policies.map(({ json }) => json));
  return { id: slices++, parts, lens: contextLens(contextReads(read)), seesIdentity: seesIdentity(read) };
}

/** The slice for a principal: as good as all the policies of the set, since the scopes of what is left out match neither action nor principal. */
export const sliceFor = ({ byAction, slices: made }: CompiledPolicies, action: Action, holder: Holder): Slice =>
  made.of(byAction.get(action)!.parts.of(holder));

/** Puts a request to parts of the policies. It is the same for all of them, so it is validated against the schema once. */
export function askParts({ slot, held }: CompiledPolicies, parts: readonly Part[], request: CedarRequest): AuthorizationAnswer {
  const some = parts.length > 0 ? parts : [nothing];
  return together(
    some.map((part, index) =>
      cedar.authorize({ ...request, preparsedPolicySetId: held.hold(part), preparsedSchemaName: slot, validateRequest: index === 0 }),
    ),
  );
}
/** No policy can match; the request is still one that the schema must know. */
const nothing: Part = { content: 'nothing', policies: [] };

/** Puts a request to all the policies for its action. */
export const ask = (compiled: CompiledPolicies, action: Action, request: CedarRequest): AuthorizationAnswer =>
  askParts(compiled, compiled.byAction.get(action)!.parts.all, request);
