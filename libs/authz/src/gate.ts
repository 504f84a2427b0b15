import { type Action, type ErrorCode, type KeyView, ProblemError, type SessionsView, type SessionView } from '@claviger/contracts';
import type { ApprovalRule } from './approval';
import type { Decision } from './decision';
import type { Evaluator } from './evaluator';
import type { Charges, QuotaGate } from './quota-gate';
import type { AuthorizationRequest, KeyResource, RequestContext, Resource } from './request';
import type { LimitedGrant } from './subjects';

/** What a service holds of the sessions bucket. */
export interface SessionSource {
  get(id: string): SessionsView | undefined;
  /** Looks past the watch, for a session opened a moment ago. */
  fetch(id: string): Promise<SessionsView | undefined>;
  fresh(): boolean;
}

export interface GatePorts {
  sessions: SessionSource;
  policy: { fresh(): boolean };
  evaluator: Pick<Evaluator, 'decide' | 'current'> & Partial<Pick<Evaluator, 'limitedGrants'>>;
  /** Counts what is allowed; nothing is counted without. */
  quotas?: QuotaGate;
  /** Milliseconds since 1970-01-01 UTC. */
  nowMs?: () => number;
}

export interface Caller {
  readonly principal: string;
  readonly session: string;
}

type Question = [action: Action, resource: Resource, more?: Pick<RequestContext, 'encryptionContext' | 'newOwner'>];

/** What the decision was made on; goes into the record. */
export interface Admission {
  readonly session: SessionView;
  readonly policies: readonly string[];
  /** Grants of limited use without which it would not be allowed. */
  readonly grants?: readonly string[];
  readonly revisions: { session: number; bundle: number; key?: number };
}

/** A way in which the approval of others is enough: theirs, and what it is admitted on with it. */
export interface ApprovedWay {
  readonly rule: ApprovalRule;
  readonly admission: Admission;
  /** Grants of limited use without which it is not: a use of each is spent when it is done, not when it is asked for. */
  readonly grants: readonly LimitedGrant[];
}

/** A refusal by session or policy, with what it was decided on. */
export class Refusal extends ProblemError {
  constructor(
    code: ErrorCode,
    detail: string | undefined,
    readonly policies: readonly string[] = [],
    readonly revisions: { session?: number; bundle?: number; key?: number } = {},
    retryAfterMs?: number,
    /** Of ERR_APPROVAL_REQUIRED: the ways in which approval is enough, the one that is asked for first. */
    readonly ways: readonly ApprovedWay[] = [],
  ) {
    super(code, detail, retryAfterMs === undefined ? {} : { retryAfterMs });
  }
}

/**
 * Who is asking, and may they? Everything that this needs is already in the process: no network hop to decide. Fails closed: a stale view,
 * an unknown session, an undecidable policy each refuse, each with a code of its own.
 */
export class Gate {
  private readonly nowMs: () => number;

  constructor(private readonly ports: GatePorts) {
    this.nowMs = ports.nowMs ?? Date.now;
  }

  /** The live session of a caller. Throws Refusal: ERR_STATE_STALE, ERR_SESSION_UNKNOWN, ERR_SESSION_REVOKED, ERR_SESSION_EXPIRED. */
  session({ principal, session: id }: Caller): SessionView {
    const { sessions, policy } = this.ports;
    if (!sessions.fresh() || !policy.fresh()) throw new Refusal('ERR_STATE_STALE', undefined);
    const session = sessions.get(id);
    // The broker ties subject to session; a mismatch means that the view is not about this connection.
    if (session?.kind !== 'session' || session.principal !== principal) throw new Refusal('ERR_SESSION_UNKNOWN', undefined);
    const revisions = { session: session.revision };
    if (session.state === 'revoked') throw new Refusal('ERR_SESSION_REVOKED', undefined, [], revisions);
    if (timesOf(session).expiresMs <= this.nowMs()) throw new Refusal('ERR_SESSION_EXPIRED', undefined, [], revisions);
    return session;
  }

  /** Whether the session of this caller has arrived; it may still be revoked or expired. */
  knows({ session }: Caller): boolean {
    return this.ports.sessions.get(session) !== undefined;
  }

  /** As `session`, but a session that the watch has not delivered yet is read once past it. One that cannot be read is not an unknown one. */
  async arrived(caller: Caller): Promise<SessionView> {
    if (!this.knows(caller))
      await this.ports.sessions.fetch(caller.session).catch(() => {
        throw new Refusal('ERR_STATE_STALE', undefined);
      });
    return this.session(caller);
  }

  /** Throws Refusal ERR_ACCESS_DENIED or ERR_APPROVAL_REQUIRED. Grants of limited use allow nothing here: see `admit`. */
  decide(session: SessionView, ...[action, resource, more]: Question): Admission {
    const request = this.request(session, action, resource, more);
    return this.settle(session, request, this.ports.evaluator.decide(request));
  }

  /**
   * As `decide`, and counts it: against the quotas that it falls under, and where only grants of limited use allow it, a use of each. Outside the memory of decisions, and each of them once for
   * one request. Throws Refusal also of ERR_QUOTA_EXCEEDED and ERR_QUOTA_UNAVAILABLE, and QuotaPending.
   */
  admit(session: SessionView, charges: Charges, ...[action, resource, more]: Question): Admission {
    const request = this.request(session, action, resource, more);
    const decision = this.ports.evaluator.decide(request);
    const admission =
      decision.kind === 'allow' ? this.settle(session, request, decision) : this.byGrants(session, request, decision, charges);
    return this.charge(admission, charges, action, resource);
  }

  /**
   * Counts what the approval of others admits: a use of each grant of limited use that it takes, and against the quotas that it falls under. Undefined when one
   * of these grants is used up. Throws as `admit` does.
   */
  chargeApproved({ admission, grants }: ApprovedWay, charges: Charges, action: Action, resource: Resource): Admission | undefined {
    const uses = grants.length === 0 ? 'counted' : (this.ports.quotas?.use(grants, charges) ?? 'unknown');
    if (uses === 'unknown') throw usesUnknown(grants, admission.policies, admission.revisions);
    return uses === 'counted' ? this.charge(admission, charges, action, resource) : undefined;
  }

  private charge(admission: Admission, charges: Charges, action: Action, resource: Resource): Admission {
    try {
      this.ports.quotas?.charge(admission.session.principal, action, resource, charges);
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      throw new Refusal(error.code, error.detail, admission.policies, admission.revisions, error.retryAfterMs);
    }
    return admission;
  }

  /** The same question about work that was counted and done: nothing more is counted. */
  confirm(session: SessionView, { grants }: Charges, ...[action, resource, more]: Question): Admission {
    const request = this.request(session, action, resource, more);
    const decision = this.ports.evaluator.decide(request);
    return decision.kind === 'allow' || grants.length === 0
      ? this.settle(session, request, decision)
      : this.settle(session, request, this.ports.evaluator.decide(request, grants), grants);
  }

  /**
   * Whether it could be admitted, with the approval of others or with uses of grants: asked before what is long in a request is looked at. Nothing is counted,
   * and nothing admitted. Throws Refusal ERR_ACCESS_DENIED.
   */
  assertPossible(session: SessionView, ...[action, resource, more]: Question): void {
    const { evaluator } = this.ports;
    const request = this.request(session, action, resource, more);
    const decision = evaluator.decide(request);
    if (decision.kind !== 'deny') return;
    for (const grants of choices(evaluator.limitedGrants?.(request) ?? [], []))
      if (evaluator.decide(request, grants).kind !== 'deny') return;
    this.settle(session, request, decision);
  }

  /** What policy alone does not allow: one grant of limited use, else all that can matter together. */
  private byGrants(session: SessionView, request: AuthorizationRequest, alone: Decision, charges: Charges): Admission {
    const { evaluator, quotas } = this.ports;
    const candidates = evaluator.limitedGrants?.(request) ?? [];
    const ways: { decision: Decision; grants: readonly LimitedGrant[] }[] = [];
    let spent: string | undefined;
    for (const grants of choices(candidates, charges.grants)) {
      const decision = evaluator.decide(request, grants);
      if (decision.kind !== 'allow') {
        if (alone.kind === 'deny' && decision.kind === 'needs-approval') ways.push({ decision, grants });
        continue;
      }
      const uses = quotas?.use(grants, charges) ?? 'unknown';
      if (uses === 'counted') return this.settle(session, request, decision, grants);
      if (uses === 'unknown') throw usesUnknown(grants, decision.policyIds);
      spent = namesOf(grants);
    }
    const [{ decision, grants } = { decision: alone, grants: [] }, ...others] = ways;
    const also = spent === undefined ? '' : ` The grant ${spent}, which would allow it, is used up.`;
    return this.settle(session, request, decision, grants, also, others);
  }

  private request(session: SessionView, ...[action, resource, more = {}]: Question): AuthorizationRequest {
    const nowMs = this.nowMs();
    return {
      principalId: session.principal,
      action,
      resource,
      context: {
        mfa: session.mfa,
        authMethod: session.method,
        ...(session.acr === undefined ? {} : { acr: session.acr }),
        nowMs,
        sessionAgeSeconds: Math.max(0, Math.floor((nowMs - timesOf(session).issuedMs) / 1_000)),
        ...more,
      },
    };
  }

  private settle(
    session: SessionView,
    { action, resource }: AuthorizationRequest,
    decision: Decision,
    grants: readonly LimitedGrant[] = [],
    also = '',
    others: readonly { decision: Decision; grants: readonly LimitedGrant[] }[] = [],
  ): Admission {
    const revisions = {
      session: session.revision,
      bundle: this.ports.evaluator.current?.bundle.revision ?? 0,
      ...(resource.type === 'Key' && resource.revision !== 'proposed' ? { key: resource.revision } : {}),
    };
    const admission = (policies: readonly string[], by: readonly LimitedGrant[]): Admission => ({
      ...{ session, policies, revisions },
      ...(by.length > 0 ? { grants: by.map(({ id }) => id) } : {}),
    });
    const { policyIds } = decision;
    if (decision.kind === 'allow') return admission(policyIds, grants);
    if (decision.kind === 'needs-approval') {
      const ways = [{ decision, grants }, ...others].flatMap((way): ApprovedWay[] => {
        if (way.decision.kind !== 'needs-approval') return [];
        const { quorum, approvers, policyIds: policies } = way.decision;
        return [{ rule: { quorum, approvers }, admission: admission(policies, way.grants), grants: way.grants }];
      });
      throw new Refusal('ERR_APPROVAL_REQUIRED', detail(decision, action) + also, policyIds, revisions, undefined, ways);
    }
    throw new Refusal('ERR_ACCESS_DENIED', detail(decision, action) + also, policyIds, revisions);
  }

  /** For what anybody with a live session may do: no policy is asked. */
  anyone(session: SessionView): Admission {
    return { session, policies: [], revisions: { session: session.revision, bundle: this.ports.evaluator.current?.bundle.revision ?? 0 } };
  }
}

const namesOf = (grants: readonly LimitedGrant[]): string => grants.map(({ id }) => id).join(', ');

const usesUnknown = (grants: readonly LimitedGrant[], policies: readonly string[], revisions: Refusal['revisions'] = {}): Refusal =>
  new Refusal('ERR_QUOTA_UNAVAILABLE', `How often the grant ${namesOf(grants)} was used is not known now.`, policies, revisions);

/** Those that this request has used already come first: they cost nothing more. */
function* choices(candidates: readonly LimitedGrant[], used: readonly LimitedGrant[]): Generator<readonly LimitedGrant[]> {
  if (used.length > 0) yield used;
  // By id: another bundle may have come into force since a use was counted.
  for (const one of candidates) if (!used.some(({ id }) => id === one.id)) yield [...used, one];
  if (candidates.length > 1) yield candidates;
}

/** Parsed once for each record: they are asked for at every request. */
function timesOf(session: SessionView): { issuedMs: number; expiresMs: number } {
  let times = parsedTimes.get(session);
  if (!times) {
    times = { issuedMs: Date.parse(session.issuedAt), expiresMs: Date.parse(session.expiresAt) };
    parsedTimes.set(session, times);
  }
  return times;
}
const parsedTimes = new WeakMap<SessionView, { issuedMs: number; expiresMs: number }>();

/** Callers learn what was refused and the kind of reason, not how the policy set is built. */
const detail = (decision: Exclude<Decision, { kind: 'allow' }>, action: string): string =>
  decision.kind === 'needs-approval'
    ? `${action} ${decision.reason}`
    : decision.code === 'action-not-in-schema'
      ? `${action}: ${decision.reason}.`
      : `${action} is not allowed for you on this resource.`;

/** What policy reads of a key, from its view. */
export const keyResource = (
  key: Pick<
    KeyView,
    'keyId' | 'revision' | 'environment' | 'classification' | 'owner' | 'consumers' | 'createdBy' | 'algorithm' | 'usage' | 'tags'
  > & { residency?: KeyView['residency'] },
): KeyResource => ({
  type: 'Key',
  id: key.keyId,
  revision: key.revision,
  attrs: {
    environment: key.environment,
    classification: key.classification,
    owner: key.owner,
    consumers: key.consumers,
    createdBy: key.createdBy,
    algorithm: key.algorithm,
    usage: key.usage,
    tags: key.tags,
    ...(key.residency ? { residency: key.residency } : {}),
  },
});
