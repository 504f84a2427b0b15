import { type Action, actions, actionTable, type PolicyBundle } from '@claviger/contracts';
import { type ActionGroups, actionGroups } from './action-groups';
import type { BundleIssue } from './bundle-issue';
import { type CedarRequest, cedarRequest } from './cedar-request';
import { contextLens } from './context-lens';
import { type Declared, declaredBy } from './declared';
import { tooDeep } from './nesting';
import { cedarIssue, type Policy, parsing } from './policy-set';
import type { Resource } from './request';
import { call, type Work } from './steps';
import { subjectsOf } from './subjects';

/** `new`: somebody wants to put it in force, so it must express everything. `in-force`: it was good when it was published, perhaps by an earlier version. */
export type BundleAge = 'new' | 'in-force';

export type Texts = Pick<PolicyBundle, 'policies' | 'schema'>;

/** Policies and schema, parsed. */
export interface ReadPolicies {
  readonly age: BundleAge;
  readonly schema: string;
  /** By their @id. */
  readonly policies: ReadonlyMap<string, Policy>;
  /** Actions that the schema does not know, as one from before they came does not: nothing is decided about them. Empty in a new bundle. */
  readonly missing: readonly Action[];
  readonly declared: Declared;
  readonly groups: ActionGroups;
}

export type PolicyReading = { ok: true; read: ReadPolicies } | { ok: false; issues: BundleIssue[] };

export interface ReadOptions {
  readonly age: BundleAge;
  /** What both have in common is not parsed again. */
  readonly previous?: ReadPolicies | undefined;
}

export function* readingPolicies(bundle: Texts, { age, previous }: ReadOptions): Work<PolicyReading> {
  const same = previous?.schema === bundle.schema ? previous : undefined;
  const parsed = yield* parsing(bundle.policies, previous ? textsOf(previous) : new Map());
  const read = same ?? (yield* reading(bundle.schema));
  if ('issues' in read) return { ok: false, issues: [...(parsed.ok ? [] : parsed.issues), ...read.issues] };
  if (!parsed.ok) return parsed;
  const { declared, groups } = read;
  const missing = age === 'new' ? [] : actions.filter((action) => !declared.actions.has(action));
  const policies = new Map(parsed.policies.map((policy) => [policy.id, policy]));
  return { ok: true, read: { age, schema: bundle.schema, policies, missing, declared, groups } };
}

/** Everything that is wrong with what was read, but for what it has in common with `previous`, which was good. Throws only when Cedar itself is unusable. */
export function* checkingPolicies(read: ReadPolicies, previous?: ReadPolicies): Work<BundleIssue[]> {
  const same = previous?.schema === read.schema ? previous : undefined;
  const known = same ? textsOf(same) : new Map<string, Policy>();
  const invalid = yield* validating(
    read.schema,
    [...read.policies.values()].filter(({ text }) => !known.has(text)),
  );
  if (invalid.length > 0) return invalid;
  // What expresses everything as it is does so with something left out.
  if (same && (read.age === 'in-force' || same.age === 'new')) return [];
  const asked = actions.filter((action) => !read.missing.includes(action));
  return yield* probing(read.schema, asked, read.age === 'new' ? read.declared.grouped : read.declared.known);
}

function* reading(schema: string): Work<Pick<ReadPolicies, 'declared' | 'groups'> | { issues: BundleIssue[] }> {
  const deep = tooDeep(schema, 'schema');
  if (deep) return { issues: [{ where: 'schema', message: deep }] };
  const answer = (yield* call('schemaToJson', [[schema]]))[0]!;
  if (answer.type === 'failure') return { issues: answer.errors.map((error) => cedarIssue('schema', error, schema)) };
  return { declared: declaredBy(answer.json), groups: actionGroups(answer.json) };
}

const textsOf = ({ policies }: ReadPolicies): ReadonlyMap<string, Policy> => {
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
function* probing(schema: string, asked: readonly Action[], known: Declared['known']): Work<BundleIssue[]> {
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
