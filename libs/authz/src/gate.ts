import { type Action, type ErrorCode, type KeyView, ProblemError, type SessionsView, type SessionView } from '@claviger/contracts';
import type { Decision } from './decision';
import type { Evaluator } from './evaluator';
import { type KeyResource, type RequestContext, type Resource } from './request';

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
  evaluator: Pick<Evaluator, 'decide' | 'current'>;
  /** Milliseconds since 1970-01-01 UTC. */
  nowMs?: () => number;
}

export interface Caller {
  readonly principal: string;
  readonly session: string;
}

/** What the decision was made on; goes into the record. */
export interface Admission {
  readonly session: SessionView;
  readonly policies: readonly string[];
  readonly revisions: { session: number; bundle: number; key?: number };
}

/** A refusal by session or policy, with what it was decided on. */
export class Refusal extends ProblemError {
  constructor(
    code: ErrorCode,
    detail: string | undefined,
    readonly policies: readonly string[] = [],
    readonly revisions: { session?: number; bundle?: number; key?: number } = {},
  ) {
    super(code, detail);
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

  /** Throws Refusal ERR_ACCESS_DENIED or ERR_APPROVAL_REQUIRED. */
  decide(
    session: SessionView,
    action: Action,
    resource: Resource,
    more: Pick<RequestContext, 'encryptionContext' | 'newOwner'> = {},
  ): Admission {
    const nowMs = this.nowMs();
    const decision = this.ports.evaluator.decide({
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
    });
    const revisions = {
      session: session.revision,
      bundle: this.ports.evaluator.current?.bundle.revision ?? 0,
      ...(resource.type === 'Key' && resource.revision !== 'proposed' ? { key: resource.revision } : {}),
    };
    if (decision.kind === 'allow') return { session, policies: decision.policyIds, revisions };
    throw new Refusal(
      decision.kind === 'needs-approval' ? 'ERR_APPROVAL_REQUIRED' : 'ERR_ACCESS_DENIED',
      detail(decision, action),
      decision.policyIds,
      revisions,
    );
  }

  /** For what anybody with a live session may do: no policy is asked. */
  anyone(session: SessionView): Admission {
    return { session, policies: [], revisions: { session: session.revision, bundle: this.ports.evaluator.current?.bundle.revision ?? 0 } };
  }
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
