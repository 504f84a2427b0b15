import type { AuthorizationAnswer } from '@cedar-policy/cedar-wasm/nodejs';
import { type Action, actions, actionTable, type PolicyBundle } from '@claviger/contracts';
import { actionGroups, scopeIncludes } from './action-groups';
import type { BundleIssue } from './bundle-issue';
import { cedar } from './cedar';
import { type CedarRequest, cedarRequest } from './cedar-request';
import { type ContextLens, contextLens } from './context-lens';
import { contextReads } from './context-reads';
import { declaredBy } from './declared';
import { HeldSets } from './held-sets';
import { tooDeep } from './nesting';
import { partChars as defaultPartChars, type Holder, type Part, type Parts, partsFor } from './policy-parts';
import { cedarIssue, type Policy, parsing } from './policy-set';
import type { Resource } from './request';
import { seesIdentity } from './resource-reads';
import { atOnce, call, type Work } from './steps';
import { subjectsOf } from './subjects';
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
 * Policies and schema, parsed and validated: the schema is held by Cedar under the name `slot`, and the policies in parts, since an evaluation costs more with
 * every policy. Only those parts are asked whose scopes can match action and principal.
 */
export interface CompiledPolicies {
  readonly slot: string;
  readonly schema: string;
  readonly policies: ReadonlyMap<string, Policy>;
  /** Those whose scope can match the action. */
  readonly byAction: ReadonlyMap<Action, { readonly policies: readonly Policy[]; readonly parts: Parts }>;
  /** Actions that the schema does not know, as one from before they came does not: nothing is decided about them. Empty in a new bundle. */
  readonly missing: readonly Action[];
  /** Leaves out of a request what the schema does not know, where the bundle is not a new one; of a new one groups only. */
  readonly known: (request: CedarRequest) => CedarRequest;
  readonly held: HeldSets;
  readonly slices: Slices;
}
/** `new`: somebody wants to put it in force, so it must express everything. `in-force`: it was good when it was published, perhaps by an earlier version. */
export type BundleAge = 'new' | 'in-force';

export type Compilation = { ok: true; compiled: CompiledPolicies } | { ok: false; issues: BundleIssue[] };

export interface CompileOptions {
  /** Begins every name that Cedar holds something under. Two that are compiled under the same one are never used at the same time, but for `previous`. */
  readonly slot: string;
  readonly age: BundleAge;
  /** In force until this one is: what both have in common is neither parsed nor checked again. */
  readonly previous?: CompiledPolicies | undefined;
  readonly partChars?: number;
}

type Texts = Pick<PolicyBundle, 'policies' | 'schema'>;

/** Without a pause; changes nothing that was compiled under another slot. Throws only when Cedar itself is unusable. */
export const compilePolicies = (bundle: Texts, slot: string, age: BundleAge): Compilation => atOnce(compiling(bundle, { slot, age }));

/** The same in steps. */
export function* compiling(bundle: Texts, { slot, age, previous, partChars = defaultPartChars }: CompileOptions): Work<Compilation> {
  const same = previous?.schema === bundle.schema ? previous : undefined;
  const parsed = yield* parsing(bundle.policies, same ? textsOf(same) : new Map());
  const deep = tooDeep(bundle.schema, 'schema');
  if (deep) return refuse([...(parsed.ok ? [] : parsed.issues), { where: 'schema', message: deep }]);
  const [schema] = yield* call('schemaToJson', [[bundle.schema]]);
  if (schema!.type === 'failure') {
    return refuse([...(parsed.ok ? [] : parsed.issues), ...schema!.errors.map((error) => cedarIssue('schema', error, bundle.schema))]);
  }
  if (!parsed.ok) return refuse(parsed.issues);
  const fresh = parsed.policies.filter(({ text }) => !same || !textsOf(same).has(text));
  const invalid = yield* validating(bundle.schema, fresh);
  if (invalid.length > 0) return refuse(invalid);

  const declared = declaredBy(schema!.json);
  const known = age === 'new' ? declared.grouped : declared.known;
  const missing = age === 'new' ? [] : actions.filter((action) => !declared.actions.has(action));
  if (!same) {
    const inexpressible = yield* probing(
      bundle.schema,
      actions.filter((action) => !missing.includes(action)),
      known,
    );
    if (inexpressible.length > 0) return refuse(inexpressible);
  }
  const name = same?.slot ?? (previous?.slot === `${slot}.a` ? `${slot}.b` : `${slot}.a`);
  if (!same) {
    const answer = cedar.preparseSchema(name, bundle.schema);
    if (answer.type === 'failure') return refuse(answer.errors.map((error) => cedarIssue('schema', error, bundle.schema)));
    yield undefined;
  }
  const groups = actionGroups(schema!.json);
  const byAction = new Map<Action, { policies: Policy[]; parts: Parts }>();
  for (const action of actions) {
    const above = groups(action);
    const policies = parsed.policies.filter(({ json }) => scopeIncludes(json, above));
    byAction.set(action, { policies, parts: partsFor(action, policies, partChars) });
    yield undefined;
  }
  const compiled = {
    ...{
      slot: name,
      schema: bundle.schema,
      policies: new Map(parsed.policies.map((policy) => [policy.id, policy])),
      byAction,
      missing,
      known,
    },
    held: previous?.held ?? new HeldSets(slot),
    slices: new Slices(same?.slices),
  };
  return { ok: true, compiled };
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

const textsOf = ({ policies }: CompiledPolicies): ReadonlyMap<string, Policy> => {
  let known = byText.get(policies);
  if (!known) {
    known = new Map([...policies.values()].map((policy) => [policy.text, policy]));
    byText.set(policies, known);
  }
  return known;
};
const byText = new WeakMap<ReadonlyMap<string, Policy>, ReadonlyMap<string, Policy>>();

const textsById = (policies: readonly Policy[]): Record<string, string> => Object.fromEntries(policies.map(({ id, text }) => [id, text]));

function* validating(schema: string, policies: readonly Policy[]): Work<BundleIssue[]> {
  if (policies.length === 0) return [];
  const answer = (yield* call('validate', [[{ schema, policies: { staticPolicies: textsById(policies) } }]]))[0]!;
  if (answer.type === 'failure') return answer.errors.map((error) => cedarIssue('policies', error));
  const texts = new Map(policies.map(({ id, text }) => [id, text]));
  // A warning is refused too: it says that a policy can never apply, or holds look-alike characters.
  return [...answer.validationErrors, ...answer.validationWarnings].map(({ policyId, error }) =>
    cedarIssue(`policy ${policyId}`, error, texts.get(policyId)),
  );
}

const probeKey: Resource = {
  type: 'Key',
  id: 'k_0000000000000000000000',
  revision: 1,
  attrs: {
    environment: 'production',
    classification: 'restricted',
    owner: 'probe',
    consumers: ['probe'],
    algorithm: 'AES_256',
    usage: 'encrypt-decrypt',
    state: 'active',
    createdBy: 'probe',
    tags: { probe: 'probe' },
  },
};
const findProbe = subjectsOf({
  principals: [{ id: 'probe', kind: 'person', roles: ['probe'], disabled: false, revision: 1, identities: [] }],
  roles: [],
  grants: [],
  groups: [{ id: 'probe', tenant: 'probe', members: ['probe'], roles: [], revision: 1 }],
});

/** A schema that cannot express a request that the services make would deny it for ever: better said now. What the policies are makes no difference. */
function* probing(schema: string, asked: readonly Action[], known: CompiledPolicies['known']): Work<BundleIssue[]> {
  const [answers] = yield* call('probe', [[schema, asked.map((action) => known(probe(action)))]]);
  if (!Array.isArray(answers)) return answers!.errors.map((error) => cedarIssue('schema', error, schema));
  return answers.flatMap((answer, index) =>
    answer.type === 'success'
      ? []
      : answer.errors.map((error) => ({ where: 'schema', message: `cannot express ${asked[index]}: ${error.message}` })),
  );
}

function probe(action: Action): CedarRequest {
  const resource: Resource = actionTable[action] === 'Key' ? probeKey : { type: 'System', id: 'claviger' };
  const context = {
    mfa: true,
    authMethod: 'token',
    nowMs: 0,
    sessionAgeSeconds: 1,
    ip: '192.0.2.1',
    encryptionContext: { probe: 'probe' },
  };
  const everything = contextLens({ whole: true, attributes: new Map() });
  const someone = findProbe('probe')!;
  return cedarRequest({ principalId: 'probe', action, resource, context }, someone, everything, someone);
}

const refuse = (issues: BundleIssue[]): Compilation => ({ ok: false, issues });
