import { type Admission, type Gate, Refusal } from '@claviger/authz';
import { type Action, type cryptoOperations, type KeyView, ProblemError, type Request, type SessionView } from '@claviger/contracts';
import { HsmError } from '@claviger/hsm';
import type { Answer, AuditTrail, RequestContext } from '@claviger/messaging';
import { hsmProblem, type KeyHolder } from './key-holder';
import type { Done } from './operations';

type Operation = (typeof cryptoOperations)[keyof typeof cryptoOperations];
type KeyRequest = Request<Exclude<Operation, (typeof cryptoOperations)['generateRandom']>>;

/**
 * One use of a key, in the order of DESIGN.md: session, key, policy, HSM, check again, record, answer. Everything up to the record happens in one turn
 * of the event loop, so what was checked is what was used.
 */
export class RecordedUse {
  constructor(
    private readonly gate: Gate,
    private readonly keys: KeyHolder,
    private readonly trail: AuditTrail,
  ) {}

  async ofKey<O extends Operation>(
    operation: O,
    request: KeyRequest,
    context: RequestContext,
    use: (key: KeyView) => Done<O>,
  ): Promise<Answer> {
    this.recordable();
    let session: SessionView | undefined;
    let admission: Admission | undefined;
    try {
      session = this.gate.knows(context) ? this.gate.session(context) : await this.gate.arrived(context);
      if (!this.keys.fresh()) throw new ProblemError('ERR_STATE_STALE');
      const key = this.keys.peek(request.keyId) ?? (await this.keys.find(request.keyId));
      const encryptionContext = 'context' in request ? request.context : undefined;
      admission = this.gate.decide(
        session,
        operation.action as Action,
        this.keys.resource(key),
        encryptionContext ? { encryptionContext } : {},
      );
      const done = onceMore(() => use(key));
      this.recheck(context, key, admission);
      return await this.answer(operation, context, session, admission, done, {
        keyId: key.keyId,
        ...(encryptionContext ? { context: encryptionContext } : {}),
      });
    } catch (error) {
      return this.refuse(operation, context, session, admission, error, { keyId: request.keyId });
    }
  }

  /** A use that needs no key. */
  async ofSystem<O extends Operation>(operation: O, context: RequestContext, use: () => Done<O>): Promise<Answer> {
    this.recordable();
    let admission: Admission | undefined;
    try {
      admission = await this.gate.enter(context, operation.action);
      return await this.answer(operation, context, admission.session, admission, onceMore(use), {});
    } catch (error) {
      return this.refuse(operation, context, admission?.session, admission, error, {});
    }
  }

  /** Refused before it happens: it could not be recorded. */
  private recordable(): void {
    if (!this.trail.commit.available) throw new ProblemError('ERR_AUDIT_UNAVAILABLE');
  }

  /** The revisions that were decided on must still be the newest ones known when the result is about to be recorded. */
  private recheck(context: RequestContext, key: KeyView, { revisions }: Admission): void {
    if (this.keys.peek(key.keyId)?.revision !== key.revision || this.gate.session(context).revision !== revisions.session)
      throw new ProblemError('ERR_STATE_STALE');
  }

  private async answer<O extends Operation>(
    operation: O,
    context: RequestContext,
    session: SessionView,
    { policies, revisions }: Admission,
    { result, version, bytes }: Done<O>,
    about: { keyId?: string; context?: Record<string, string> },
  ): Promise<Answer> {
    const receipt = await this.trail.operation({
      action: operation.action,
      ...this.trail.who(context),
      ip: session.ip,
      mfa: session.mfa,
      ...about,
      ...(version === undefined ? {} : { version }),
      outcome: 'success',
      policies: policies as string[],
      revisions,
      bytes,
    });
    return { result, receipt };
  }

  private refuse(
    operation: Operation,
    context: RequestContext,
    session: SessionView | undefined,
    admission: Admission | undefined,
    error: unknown,
    about: { keyId?: string },
  ): Promise<never> {
    const problem = error instanceof HsmError ? hsmProblem(error) : error;
    // ERR_AUDIT_UNAVAILABLE comes from the record itself: there is nothing more to record.
    if (!(problem instanceof ProblemError) || problem.code === 'ERR_AUDIT_UNAVAILABLE') throw problem;
    const decided = problem instanceof Refusal ? problem : admission;
    return this.trail.refuse(context, operation, problem, {
      ...about,
      ...(session ? { ip: session.ip, mfa: session.mfa } : {}),
      ...(decided ? { policies: decided.policies as string[], revisions: decided.revisions } : {}),
    });
  }
}

/** When the token lost its sessions the handles are new now: the same operation is done once more. */
function onceMore<T>(use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (error instanceof HsmError && error.code === 'HSM_SESSION_LOST') return use();
    throw error;
  }
}
