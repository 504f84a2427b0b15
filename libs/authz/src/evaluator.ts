import { type Action, groupIn, type PolicyBundle, type Principal } from '@claviger/contracts';
import { LRUCache } from 'lru-cache';
import { hashing } from './bundle-hash';
import type { BundleIssue } from './bundle-issue';
import { cedarUsable } from './cedar';
import { cedarRequest } from './cedar-request';
import { checkingReferences } from './check-references';
import { askParts, type CompiledPolicies, compiling, partsOf, type Slice, sliceFor } from './compiled-policies';
import { type Decision, denied } from './decision';
import { explain } from './explain';
import { type Permit, permitsOf } from './permits';
import { checkingPolicies, type ReadPolicies, readingPolicies } from './read-policies';
import type { AuthorizationRequest, Resource } from './request';
import { attributesText } from './resource-reads';
import { settle } from './settle';
import { atOnce, beside, type Elsewhere, type Work } from './steps';
import { type LimitedGrant, limitedGrantsFor, type Subject, stillGranted, subjectsOf } from './subjects';
import { shaping } from './validate-bundle';

export type LoadResult =
  | { readonly ok: true; readonly revision: number; readonly hash: string }
  | {
      readonly ok: false /** `unavailable`: nothing is known of the bundle, and it may be tried again. */;
      readonly code: 'invalid' | 'unavailable' | 'lower-revision' | 'conflicting-revision';
      readonly issues: readonly BundleIssue[];
    };

interface Loaded {
  readonly bundle: PolicyBundle;
  readonly hash: string;
  readonly compiled: CompiledPolicies;
  /** The same when they were validated; until then those of the last bundle that was. */
  readonly validated: CompiledPolicies | undefined;
  readonly subjectOf: (principalId: string) => Subject | undefined;
  /** Of each subject that was asked for: by period and action. */
  readonly slices: WeakMap<Subject, Map<string, Slice>>;
}

const notLoaded = denied('bundle-not-loaded');
const unknownPrincipal = denied('unknown-principal');
const disabledPrincipal = denied('disabled-principal');
const actionNotInSchema = denied('action-not-in-schema');
let evaluators = 0;

/**
 * Holds the newest policy bundle and decides by it, synchronously and without I/O. Everything that cannot be decided is denied, with a code of
 * its own. Session validity, key state and quotas are the asker's to check.
 *
 * Decisions are remembered exactly: the key holds whatever the policies can read (principal with roles and grants by content, action, resource by
 * its attributes, or by id and revision where a policy can tell keys of the same attributes apart (resource-reads.ts), and of the context only what the policies for the action mention, see context-lens.ts). Time enters as the place between the instants that
 * policies and grants name, so a decision ends at the next of them and a clock that goes back finds the old one.
 */
export class Evaluator {
  readonly #slotName = `claviger.evaluator.${evaluators++}`;
  readonly #decisions: LRUCache<string, Decision>;
  #loaded: Loaded | undefined;
  #permits: { readonly of: CompiledPolicies; readonly list: readonly Permit[] } | undefined;
  /** Since the process started: decisions that were remembered, and those that the policies had to be asked for. */
  readonly counts = { remembered: 0, evaluated: 0 };

  readonly #partChars: number | undefined;

  /** `maxDecisions` bounds the memory: about 400 bytes each. `partChars`: see policy-parts.ts. */
  constructor({ maxDecisions = 50_000, partChars }: { maxDecisions?: number; partChars?: number } = {}) {
    this.#decisions = new LRUCache({ max: maxDecisions });
    this.#partChars = partChars;
  }

  /** The bundle in force; undefined before the first. */
  get current(): { readonly bundle: PolicyBundle; readonly hash: string } | undefined {
    return this.#loaded;
  }

  /** The newest policies that were validated here. */
  get validated(): ReadPolicies | undefined {
    return this.#loaded?.validated;
  }

  /** Actions that its schema cannot express, since it is from before they came: they are denied with a code of their own until a bundle that has them is published. */
  get missing(): readonly Action[] {
    return this.#loaded?.compiled.missing ?? [];
  }

  /** False when every answer is a failure until the process restarts: health goes red. */
  get usable(): boolean {
    return cedarUsable();
  }

  /**
   * Puts a bundle in force, or refuses it and keeps the old one. The caller has verified its signature. A lower revision is refused, and so is another content
   * under the same revision. What was good when it was published stays in force: see `missing`. Nothing else happens meanwhile: `loadBeside` is for services.
   */
  load(input: unknown): LoadResult {
    const work = this.#loading(input);
    try {
      return atOnce(work);
    } catch (cause) {
      return failed(cause);
    }
  }

  /**
   * The same beside the requests of a service: the old bundle decides until the new one is ready, which is then in force from one turn to the next. One at a
   * time: whoever loads waits for the load before.
   *
   * With the schema of the old one it decides before Cedar has validated what is new in it, since that takes longer than all the rest: what it forbids or takes
   * away is not to wait. A policy that validation refuses fails when it is asked, which denies (settle.ts); then the load fails, and the old one is back, for
   * the caller to use or not. With `unavailable` the new one may stay, and is validated when it is loaded again.
   */
  loadBeside(input: unknown, elsewhere: Elsewhere): Promise<LoadResult> {
    return beside(this.#loading(input), elsewhere).catch(failed);
  }

  *#loading(input: unknown): Work<LoadResult> {
    const shaped = yield* shaping(input);
    if (!shaped.ok) return invalid(shaped.issues);
    const { bundle } = shaped;
    const hash = yield* hashing(bundle);
    const old = this.#loaded;
    const result: LoadResult = { ok: true, revision: bundle.revision, hash };
    if (old && bundle.revision < old.bundle.revision) return refused('lower-revision', `revision ${old.bundle.revision} is in force`);
    if (old && bundle.revision === old.bundle.revision) {
      if (hash !== old.hash) return refused('conflicting-revision', `revision ${bundle.revision} is in force with another content`);
      const issues = yield* this.#validating(old);
      return issues.length > 0 ? invalid(issues) : result;
    }
    const compilation = yield* this.#compiling(bundle, old);
    if (!compilation.ok) return invalid(compilation.issues);
    const { compiled, validated } = compilation;
    const issues = yield* checkingReferences(bundle, [...compiled.policies.values()]);
    if (issues.length > 0) return invalid(issues);
    const subjectOf = subjectsOf(bundle);
    yield undefined;
    // Whatever was decided by the same policies and schema for the same subject stays so.
    if (compiled.schema !== old?.compiled.schema) this.#decisions.clear();
    const loaded: Loaded = { bundle, hash, compiled, validated, subjectOf, slices: new WeakMap() };
    this.#loaded = loaded;
    const parts = partsOf(compiled);
    compiled.held.keep(new Set(parts.map(({ content }) => content)));
    const refusedBy = yield* this.#validating(loaded);
    if (refusedBy.length > 0) {
      this.#loaded = old;
      return invalid(refusedBy);
    }
    // A large part is parsed now, not by the first request that needs it.
    for (const part of parts) {
      if (part.policies.length < heldAtOnce || compiled.held.isHeld(part)) continue;
      compiled.held.hold(part);
      yield undefined;
    }
    return result;
  }

  /** What is wrong with the policies of a bundle that decides already. */
  *#validating(loaded: Loaded): Work<BundleIssue[]> {
    const { compiled, validated } = loaded;
    if (validated === compiled) return [];
    const issues = yield* checkingPolicies(compiled, validated);
    if (issues.length === 0) this.#loaded = { ...loaded, validated: compiled };
    return issues;
  }

  /** `honoured`: grants of limited use that count as in force, as the bundle has them now; others give nothing. */
  decide(request: AuthorizationRequest, honoured: readonly LimitedGrant[] = []): Decision {
    const loaded = this.#loaded;
    if (!loaded) return notLoaded;
    const known = loaded.subjectOf(request.principalId);
    if (!known) return unknownPrincipal;
    const subject = withGrants(known, honoured);
    if (subject.principal.disabled) return disabledPrincipal;
    const { action, resource, context } = request;
    const applicable = loaded.compiled.byAction.get(action);
    if (!applicable) return denied('evaluation-failed', [], 'the action is not in the vocabulary');
    if (loaded.compiled.missing.includes(action)) return actionNotInSchema;
    if (!Number.isSafeInteger(context.nowMs) || !Number.isSafeInteger(context.sessionAgeSeconds ?? 0)) {
      return denied('evaluation-failed', [], 'a time is not a whole number');
    }

    const period = subject.periodAt(context.nowMs);
    const slice = sliceOf(loaded, subject, action, period, context.nowMs);
    const { lens, seesIdentity } = slice;
    const about = resourceKey(
      resource,
      seesIdentity,
      () => resource.type === 'Key' && subject.isGranted(action, resource.id, context.nowMs, context.encryptionContext),
    );
    const newOwner = newOwnerOf(context, loaded);
    if (!lens.cacheable || context.newOwner !== undefined || about === undefined)
      return this.#evaluate(request, subject, loaded.compiled, slice, newOwner);
    const key = `${slice.id};${subject.digest}${period};${action};${about}${lens.key(context)}`;
    const remembered = this.#decisions.get(key);
    if (remembered) {
      this.counts.remembered++;
      return remembered;
    }
    const decision = this.#evaluate(request, subject, loaded.compiled, slice);
    // A failure may be ours and pass; a decision is a function of the key.
    if (!(decision.kind === 'deny' && decision.failure)) this.#decisions.set(key, decision);
    return decision;
  }

  /** Grants of limited use that may allow what is asked, those that end first before others. */
  limitedGrants({ principalId, action, resource, context }: AuthorizationRequest): readonly LimitedGrant[] {
    const subject = this.#loaded?.subjectOf(principalId);
    return subject ? limitedGrantsFor(subject, action, resource.type === 'Key' ? resource.id : undefined, context.nowMs) : [];
  }

  /** Role ids of a principal that are in force, with those of `honoured`: for approvers, quotas and lists of people. Undefined when it is unknown or disabled. */
  rolesOf(principalId: string, nowMs: number, honoured: readonly LimitedGrant[] = []): readonly string[] | undefined {
    const subject = this.#loaded?.subjectOf(principalId);
    return subject && !subject.principal.disabled ? withGrants(subject, honoured).rolesAt(nowMs) : undefined;
  }

  /** Names (`tenant/id`) of the groups that a principal is in, directly or through member groups. Undefined when it is unknown or disabled. */
  groupsOf(principalId: string): readonly string[] | undefined {
    const subject = this.#loaded?.subjectOf(principalId);
    return subject && !subject.principal.disabled ? subject.groups : undefined;
  }

  /** Whether a principal is one of those that an entry of `@approvers` names: a role in force, or a group as `group:tenant/id`. */
  mayApproveAs(principalId: string, approver: string, nowMs: number): boolean {
    const group = groupIn(approver);
    return (
      (group === undefined ? this.rolesOf(principalId, nowMs)?.includes(approver) : this.groupsOf(principalId)?.includes(group)) ?? false
    );
  }

  /** Who it is, also when disabled. Undefined when the bundle does not know it. */
  principalOf(id: string): Principal | undefined {
    return this.#loaded?.subjectOf(id)?.principal;
  }

  everybody(): readonly Principal[] {
    return this.#loaded?.bundle.principals ?? [];
  }

  /** The permits in force, for what they say about who uses what; the same list until policies change. */
  permits(): readonly Permit[] {
    const compiled = this.#loaded?.compiled;
    if (!compiled) return [];
    if (this.#permits?.of !== compiled) this.#permits = { of: compiled, list: permitsOf(compiled.byAction) };
    return this.#permits.list;
  }

  /** The policies that made a decision and, for a denial, what is missing: `explained` asks for more, and has it in words. */
  explain(request: AuthorizationRequest, decision: Decision): ReturnType<typeof explain> {
    const policies = this.#loaded?.compiled;
    return explain(decision, {
      policyOf: (id) => policies?.policies.get(id),
      applicable: policies?.byAction.get(request.action)?.policies ?? [],
      roles: this.#loaded?.subjectOf(request.principalId)?.rolesAt(request.context.nowMs) ?? [],
      groups: this.#loaded?.subjectOf(request.principalId)?.groups ?? [],
    });
  }

  #evaluate(...asked: Parameters<typeof evaluate>): Decision {
    this.counts.evaluated++;
    return evaluate(...asked);
  }

  *#compiling(bundle: PolicyBundle, old: Loaded | undefined): Work<Compiled> {
    const { compiled: previous, validated } = old ?? {};
    if (previous && old?.bundle.policies === bundle.policies && old.bundle.schema === bundle.schema)
      return { ok: true, compiled: previous, validated };
    const reading = yield* readingPolicies(bundle, { age: 'in-force', previous });
    if (!reading.ok) return reading;
    const sameSchema = validated?.schema === bundle.schema;
    const issues = sameSchema ? [] : yield* checkingPolicies(reading.read);
    if (issues.length > 0) return { ok: false, issues };
    const compilation = yield* compiling(reading.read, { slot: this.#slotName, previous, partChars: this.#partChars });
    return compilation.ok ? { ...compilation, validated: sameSchema ? validated : compilation.compiled } : compilation;
  }
}

function withGrants(known: Subject, honoured: readonly LimitedGrant[]): Subject {
  const granted = stillGranted(known, honoured);
  return granted.length === 0 ? known : known.having(granted);
}

/** So many policies take a millisecond or two to be parsed. */
const heldAtOnce = 4;

function sliceOf({ slices, compiled }: Loaded, subject: Subject, action: Action, period: number, nowMs: number): Slice {
  const own = slices.get(subject) ?? new Map<string, Slice>();
  slices.set(subject, own);
  const key = `${period}${action}`;
  let slice = own.get(key);
  if (!slice) {
    slice = sliceFor(compiled, action, { id: subject.principal.id, roles: subject.rolesAt(nowMs), groups: subject.groups });
    own.set(key, slice);
  }
  return slice;
}

function evaluate(
  request: AuthorizationRequest,
  subject: Subject,
  compiled: CompiledPolicies,
  { parts, lens }: Slice,
  newOwner?: Subject,
): Decision {
  try {
    return settle(askParts(compiled, parts, compiled.known(cedarRequest(request, subject, lens, newOwner))), compiled.policies);
  } catch (cause) {
    return denied('evaluation-failed', [], (cause as Error).message);
  }
}

type Compiled =
  | { ok: true; compiled: CompiledPolicies; validated: CompiledPolicies | undefined }
  | { ok: false; issues: readonly BundleIssue[] };

const invalid = (issues: readonly BundleIssue[]): LoadResult => ({ ok: false, code: 'invalid', issues });

const failed = (cause: unknown): LoadResult => ({
  ok: false,
  code: 'unavailable',
  issues: [{ where: 'policies', message: `Cedar failed: ${(cause as Error).message}` }],
});

/** Somebody whom the bundle does not know, or who is disabled, is nobody to hand a key to: policies see none. */
function newOwnerOf({ newOwner }: AuthorizationRequest['context'], { subjectOf }: Loaded): Subject | undefined {
  const found = newOwner === undefined ? undefined : subjectOf(newOwner);
  return found?.principal.disabled ? undefined : found;
}

/** Undefined for a key of which nothing may be remembered. */
function resourceKey(resource: Resource, seesIdentity: boolean, isGranted: () => boolean): string | undefined {
  const { type, id } = resource;
  if (type === 'System') return `S${id.length}:${id}`;
  // It may hang on the encryption context, of which the lens shows only what policies read.
  const granted = isGranted() ? 'G' : 'A';
  if (!seesIdentity) return granted + attributesText(resource.attrs);
  return resource.revision === 'proposed' ? undefined : `K${granted}${resource.revision};${id.length}:${id}`;
}

function refused(code: 'lower-revision' | 'conflicting-revision', message: string): LoadResult {
  return { ok: false, code, issues: [{ where: 'revision', message }] };
}
