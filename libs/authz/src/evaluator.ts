import { type Action, groupIn, type PolicyBundle, type Principal } from '@claviger/contracts';
import { LRUCache } from 'lru-cache';
import { bundleHash } from './bundle-hash';
import type { BundleIssue } from './bundle-issue';
import { cedarUsable } from './cedar';
import { cedarRequest } from './cedar-request';
import { checkReferences } from './check-references';
import { ask, type CompiledPolicies, compilePolicies } from './compiled-policies';
import { type Decision, denied } from './decision';
import { explain } from './explain';
import type { AuthorizationRequest, Resource } from './request';
import { attributesText } from './resource-reads';
import { settle } from './settle';
import { type Subject, subjectsOf } from './subjects';
import { shapeOf } from './validate-bundle';

export type LoadResult =
  | { readonly ok: true; readonly revision: number; readonly hash: string }
  | { readonly ok: false; readonly code: 'invalid' | 'lower-revision' | 'conflicting-revision'; readonly issues: readonly BundleIssue[] };

interface Loaded {
  readonly bundle: PolicyBundle;
  readonly hash: string;
  readonly compiled: CompiledPolicies;
  readonly subjectOf: (principalId: string) => Subject | undefined;
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
  /** Since the process started: decisions that were remembered, and those that the policies had to be asked for. */
  readonly counts = { remembered: 0, evaluated: 0 };

  /** `maxDecisions` bounds the memory: about 400 bytes each. */
  constructor({ maxDecisions = 50_000 }: { maxDecisions?: number } = {}) {
    this.#decisions = new LRUCache({ max: maxDecisions });
  }

  /** The bundle in force; undefined before the first. */
  get current(): { readonly bundle: PolicyBundle; readonly hash: string } | undefined {
    return this.#loaded;
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
   * under the same revision. What was good when it was published stays in force: see `missing`. A bundle that changes people only is in force in about a millisecond; changed policies take tens.
   */
  load(input: unknown): LoadResult {
    const shaped = shapeOf(input);
    if (!shaped.ok) return { ok: false, code: 'invalid', issues: shaped.issues };
    const { bundle } = shaped;
    const hash = bundleHash(bundle);
    const old = this.#loaded;
    if (old && bundle.revision < old.bundle.revision) return refused('lower-revision', `revision ${old.bundle.revision} is in force`);
    if (old && bundle.revision === old.bundle.revision) {
      if (hash === old.hash) return { ok: true, revision: bundle.revision, hash };
      return refused('conflicting-revision', `revision ${bundle.revision} is in force with another content`);
    }
    const compilation = this.#compile(bundle);
    if (!compilation.ok) return { ok: false, code: 'invalid', issues: compilation.issues };
    const { compiled } = compilation;
    const issues = checkReferences(bundle, [...compiled.policies.values()]);
    if (issues.length > 0) return { ok: false, code: 'invalid', issues };

    if (compiled !== old?.compiled) this.#decisions.clear();
    this.#loaded = { bundle, hash, compiled, subjectOf: subjectsOf(bundle) };
    return { ok: true, revision: bundle.revision, hash };
  }

  decide(request: AuthorizationRequest): Decision {
    const loaded = this.#loaded;
    if (!loaded) return notLoaded;
    const subject = loaded.subjectOf(request.principalId);
    if (!subject) return unknownPrincipal;
    if (subject.principal.disabled) return disabledPrincipal;
    const { action, resource, context } = request;
    const applicable = loaded.compiled.byAction.get(action);
    if (!applicable) return denied('evaluation-failed', [], 'the action is not in the vocabulary');
    if (loaded.compiled.missing.includes(action)) return actionNotInSchema;
    if (!Number.isSafeInteger(context.nowMs) || !Number.isSafeInteger(context.sessionAgeSeconds ?? 0)) {
      return denied('evaluation-failed', [], 'a time is not a whole number');
    }

    const { lens, seesIdentity } = applicable;
    const about = resourceKey(
      resource,
      seesIdentity,
      () => resource.type === 'Key' && subject.isGranted(action, resource.id, context.nowMs, context.encryptionContext),
    );
    const newOwner = newOwnerOf(context, loaded);
    if (!lens.cacheable || context.newOwner !== undefined || about === undefined)
      return this.#evaluate(request, subject, loaded.compiled, lens, newOwner);
    const key = `${subject.digest}${subject.periodAt(context.nowMs)};${action};${about}${lens.key(context)}`;
    const known = this.#decisions.get(key);
    if (known) {
      this.counts.remembered++;
      return known;
    }
    const decision = this.#evaluate(request, subject, loaded.compiled, lens);
    // A failure may be ours and pass; a decision is a function of the key.
    if (!(decision.kind === 'deny' && decision.failure)) this.#decisions.set(key, decision);
    return decision;
  }

  /** Role ids of a principal that are in force: for approvers, and for lists of people. Undefined when it is unknown or disabled. */
  rolesOf(principalId: string, nowMs: number): readonly string[] | undefined {
    const subject = this.#loaded?.subjectOf(principalId);
    return subject && !subject.principal.disabled ? subject.rolesAt(nowMs) : undefined;
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

  /** A decision in words, with the policies that made it and, for a denial, what is missing. Text for people: its wording may change. */
  explain(request: AuthorizationRequest, decision: Decision): string {
    const policies = this.#loaded?.compiled;
    return explain(request, decision, {
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

  #compile(bundle: PolicyBundle) {
    const old = this.#loaded;
    if (old && old.bundle.policies === bundle.policies && old.bundle.schema === bundle.schema)
      return { ok: true as const, compiled: old.compiled };
    const slot = old?.compiled.slot === `${this.#slotName}.a` ? `${this.#slotName}.b` : `${this.#slotName}.a`;
    try {
      return compilePolicies(bundle, slot, 'in-force');
    } catch (cause) {
      return { ok: false as const, issues: [{ where: 'policies', message: `Cedar failed: ${(cause as Error).message}` }] };
    }
  }
}

function evaluate(
  request: AuthorizationRequest,
  subject: Subject,
  compiled: CompiledPolicies,
  lens: Parameters<typeof cedarRequest>[2],
  newOwner?: Subject,
): Decision {
  try {
    return settle(ask(compiled, request.action, compiled.known(cedarRequest(request, subject, lens, newOwner))), compiled.policies);
  } catch (cause) {
    return denied('evaluation-failed', [], (cause as Error).message);
  }
}

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
