import { type Action, actions, actionTable, type PolicyBundle } from '@claviger/contracts';
import { actionGroups, scopeIncludes } from './action-groups';
import type { BundleIssue } from './bundle-issue';
import { cedar } from './cedar';
import { type CedarRequest, cedarRequest } from './cedar-request';
import { type ContextLens, contextLens } from './context-lens';
import { contextReads } from './context-reads';
import { declaredBy } from './declared';
import { tooDeep } from './nesting';
import { cedarIssue, type Policy, parsePolicies } from './policy-set';
import type { Resource } from './request';
import { seesIdentity } from './resource-reads';
import { subjectsOf } from './subjects';

/**
 * Policies and schema, parsed, validated and held by Cedar: the schema under the name `slot`, and the policies whose scope can match an action as a set
 * under a name of its own, since an evaluation costs more with every policy. Actions that the same policies can match share one.
 */
export interface CompiledPolicies {
  readonly slot: string;
  readonly policies: ReadonlyMap<string, Policy>;
  /** Those whose scope can match the action, what they see of the context, and whether two keys of the same attributes are the same to them. */
  readonly byAction: ReadonlyMap<
    Action,
    { readonly set: string; readonly policies: readonly Policy[]; readonly lens: ContextLens; readonly seesIdentity: boolean }
  >;
  /** Actions that the schema does not know, as one from before they came does not: nothing is decided about them. Empty in a new bundle. */
  readonly missing: readonly Action[];
  /** Leaves out of a request what the schema does not know, where the bundle is not a new one; of a new one groups only. */
  readonly known: (request: CedarRequest) => CedarRequest;
}
/** `new`: somebody wants to put it in force, so it must express everything. `in-force`: it was good when it was published, perhaps by an earlier version. */
export type BundleAge = 'new' | 'in-force';

export type Compilation = { ok: true; compiled: CompiledPolicies } | { ok: false; issues: BundleIssue[] };

/**
 * Compiles into `slot`, overwriting what Cedar held there (it has no way to forget one). Nothing else changes, so a caller that uses two slots
 * in turn keeps its old policies when the new ones are refused. Throws only when Cedar itself is unusable.
 */
export function compilePolicies(bundle: Pick<PolicyBundle, 'policies' | 'schema'>, slot: string, age: BundleAge): Compilation {
  const parsed = parsePolicies(bundle.policies);
  const deep = tooDeep(bundle.schema, 'schema');
  if (deep) return refuse([...(parsed.ok ? [] : parsed.issues), { where: 'schema', message: deep }]);
  const schema = cedar.schemaToJson(bundle.schema);
  if (schema.type === 'failure') {
    return refuse([...(parsed.ok ? [] : parsed.issues), ...schema.errors.map((error) => cedarIssue('schema', error, bundle.schema))]);
  }
  if (!parsed.ok) return refuse(parsed.issues);

  const invalid = validate(bundle.schema, parsed.policies);
  if (invalid.length > 0) return refuse(invalid);

  const groups = actionGroups(schema.json);
  const sets = new Map<string, PolicySet>();
  const byAction = new Map(
    actions.map((action) => {
      const applicable = parsed.policies.filter(({ json }) => scopeIncludes(json, groups(action)));
      const read = applicable.map(({ json }) => json);
      return [
        action,
        {
          set: setOf(applicable, sets, slot).name,
          policies: applicable,
          lens: contextLens(contextReads(read)),
          seesIdentity: seesIdentity(read),
        },
      ] as const;
    }),
  );
  const held = [cedar.preparseSchema(slot, bundle.schema), ...[...sets.values()].map(hold)];
  const failures = held.flatMap((answer) => (answer.type === 'failure' ? answer.errors : []));
  if (failures.length > 0) return refuse(failures.map((error) => cedarIssue('policies', error)));
  const declared = declaredBy(schema.json);
  const known = age === 'new' ? declared.grouped : declared.known;
  const compiled = { slot, policies: new Map(parsed.policies.map((policy) => [policy.id, policy])), byAction, missing: [], known };
  const missing = age === 'new' ? [] : actions.filter((action) => !declared.actions.has(action));
  const inexpressible = actions.filter((action) => !missing.includes(action)).flatMap((action) => probe(action, compiled));
  return inexpressible.length > 0 ? refuse(inexpressible) : { ok: true, compiled: { ...compiled, missing } };
}

/** Puts a request to the policies for its action; every request is validated against the schema. */
export function ask({ slot, byAction }: Pick<CompiledPolicies, 'slot' | 'byAction'>, action: Action, request: CedarRequest) {
  return cedar.authorize({
    ...request,
    preparsedPolicySetId: byAction.get(action)!.set,
    preparsedSchemaName: slot,
    validateRequest: true,
  });
}

interface PolicySet {
  /** Numbered, so that the next bundle in this slot overwrites it. */
  readonly name: string;
  readonly policies: readonly Policy[];
}

/** The set of these policies among `sets`, which it joins if it is not there. */
function setOf(policies: readonly Policy[], sets: Map<string, PolicySet>, slot: string): PolicySet {
  const ids = policies.map(({ id }) => id).join(' ');
  const set = sets.get(ids) ?? { name: `${slot} ${sets.size}`, policies };
  sets.set(ids, set);
  return set;
}

const hold = ({ name, policies }: PolicySet) => cedar.preparsePolicies(name, { staticPolicies: textsById(policies) });

const textsById = (policies: readonly Policy[]): Record<string, string> => Object.fromEntries(policies.map(({ id, text }) => [id, text]));

function validate(schema: string, policies: readonly Policy[]): BundleIssue[] {
  const answer = cedar.validate({ schema, policies: { staticPolicies: textsById(policies) } });
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

/** A schema that cannot express a request that the services make would deny it for ever: better said now. */
function probe(action: Action, compiled: CompiledPolicies): BundleIssue[] {
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
  const request = cedarRequest({ principalId: 'probe', action, resource, context }, someone, everything, someone);
  const answer = ask(compiled, action, compiled.known(request));
  if (answer.type === 'success') return [];
  return answer.errors.map((error) => ({ where: 'schema', message: `cannot express ${action}: ${error.message}` }));
}

const refuse = (issues: BundleIssue[]): Compilation => ({ ok: false, issues });
