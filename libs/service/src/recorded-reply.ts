import { type Admission, Charges, type Gate, QuotaPending, Refusal } from '@claviger/authz';
import { isAlias, type Operation, type OperationRecord, ProblemError, type SessionView } from '@claviger/contracts';
import type { Answer, AuditTrail, RecordIntent, RequestContext } from '@claviger/messaging';

/** What an operation did: the result for the caller, and what the record says of it. */
export interface Done {
  result: unknown;
  record?: About;
  /** Called in the turn in which the record is handed over, for work that took longer than one: throws when what was decided no longer holds. */
  confirm?: () => void;
  /** Called when the record is durable: what was intended is done. */
  recorded?: () => void;
}

/** What a record says beyond who asked and what was decided. Whoever gives it may complete it until the record is made: by then the key is known that an alias named. */
export type About = Partial<Pick<OperationRecord, 'bytes' | 'context' | 'toKeyId' | 'toAlias' | 'toVersion' | 'toContext' | 'recipient'>> &
  AboutChange;
type AboutChange = Partial<Pick<OperationRecord, 'keyId' | 'alias' | 'previousKeyId' | 'version' | 'reason'>>;

/** The key that a request names: its id, or what has to become one. */
export const named = (ref: string): About => (isAlias(ref) ? { alias: ref } : { keyId: ref });

/** Asks policy, as the caller. Throws Refusal. */
export type Admit = (...question: Question) => Admission;
type Question = Parameters<Gate['decide']> extends [SessionView, ...infer Q] ? Q : never;

export interface Asker {
  session: SessionView;
  admit: Admit;
  /** The same for a second key. The record names the policies of both, and the revisions of the first. */
  admitAlso: Admit;
  /** Whether policy would allow it: for what is left out of an answer rather than refused. Not what the record says was decided. */
  allows: (...question: Question) => boolean;
  /** For what anybody with a live session may do. */
  admitAnyone: () => Admission;
  /**
   * What the record will say of a change, to be committed in one write with the change. Asked for again, when the first write did not happen, it is
   * of the same record. Policy has been asked before.
   */
  intend: (change: AboutChange & { revision: number }) => RecordIntent;
}

/** So long a request waits, over all its tries, for what its quotas still let through. */
const quotaWaitMs = 2_500;

/**
 * One request, in one order: may it be recorded, who asks, `work` (which asks policy before it does anything), exactly one record, the answer.
 * No record, no answer. Refusals and failures are recorded like successes.
 */
export class RecordedReply {
  constructor(
    private readonly gate: Gate,
    private readonly trail: AuditTrail,
    /** What a service's own errors mean to a caller; the cause stays with the problem, for the log. */
    private readonly toProblem: (error: unknown) => ProblemError = defaultProblem,
  ) {}

  /** `arrive` brings what `work` needs, so that `work` need not wait: see below. */
  async answer(
    operation: Operation,
    context: RequestContext,
    about: About,
    work: (asker: Asker) => Done | Promise<Done>,
    arrive?: () => Promise<unknown>,
  ): Promise<Answer> {
    // Refused before it happens: it could not be recorded.
    if (!this.trail.commit.available) throw new ProblemError('ERR_AUDIT_UNAVAILABLE');
    let session: SessionView | undefined;
    let admission: Admission | undefined;
    let intent: RecordIntent | undefined;
    let done: Done;
    const charges = new Charges();
    // What is asked again of work that was done is not counted: it is the same use.
    let counting = true;
    const admitted = (...question: Question): Admission => {
      // The session as it is now: `work` may have waited for something, and meanwhile it may have been revoked.
      const now = this.gate.session(context);
      return counting ? this.gate.admit(now, charges, ...question) : this.gate.confirm(now, charges, ...question);
    };
    try {
      session = this.gate.knows(context) ? this.gate.session(context) : await this.gate.arrived(context);
      if (arrive) await arrive();
      const known = session;
      const asker: Asker = {
        session: known,
        admit: (...question) => {
          admission = admitted(...question);
          return admission;
        },
        admitAlso: (...question) => {
          if (!admission) throw new Error(`${operation.name} did not ask policy of its first key`);
          const { policies, grants } = admitted(...question);
          admission = { ...admission, policies: [...new Set([...admission.policies, ...policies])], ...(grants ? { grants } : {}) };
          return admission;
        },
        allows: (...question) => {
          try {
            return this.gate.decide(this.gate.session(context), ...question) !== undefined;
          } catch (error) {
            // A session that ended meanwhile is no answer to this.
            if (error instanceof Refusal && (error.code === 'ERR_ACCESS_DENIED' || error.code === 'ERR_APPROVAL_REQUIRED')) return false;
            throw error;
          }
        },
        admitAnyone: () => {
          admission = this.gate.anyone(known);
          return admission;
        },
        intend: ({ revision, ...change }) => {
          if (!admission) throw new Error(`${operation.name} did not ask policy`);
          const decided = decidedOn(admission);
          const who = { action: operation.action, ...this.trail.who(context), ...whose(known) };
          intent = this.trail.intend({ ...who, ...about, ...change, ...decided, revision }, intent?.id);
          return intent;
        },
      };
      // Policy, and with it quotas, are asked before anything is done: work that has to wait for its quota begins again.
      for (let deadline: number | undefined; ; ) {
        try {
          const doing = work(asker);
          // Awaited only where it must be: what is decided, done and handed to the record in one turn cannot be overtaken by a change.
          done = doing instanceof Promise ? await doing : doing;
          break;
        } catch (error) {
          if (!(error instanceof QuotaPending)) throw error;
          deadline ??= performance.now() + quotaWaitMs;
          if (intent || performance.now() > deadline) throw new ProblemError('ERR_QUOTA_UNAVAILABLE');
          await error.asked;
        }
      }
      counting = false;
      done.confirm?.();
      if (!admission) throw new Error(`${operation.name} did not ask policy`);
    } catch (error) {
      const problem = error instanceof ProblemError ? error : this.toProblem(error);
      // Nothing was done: it does not count.
      if (problem.code === 'ERR_DRY_RUN' || (problem instanceof Refusal && counting && !intent)) charges.takeBack();
      const decided = problem instanceof Refusal ? problem : admission;
      // Under the id of what was intended: should that have been committed all the same, the two are told to be one.
      return this.trail.refuse(
        context,
        operation,
        problem,
        { ...about, ...whose(session), ...(decided ? decidedOn(decided) : {}) },
        intent?.id,
      );
    }
    const receipt = await this.trail.operation(
      {
        action: operation.action,
        ...this.trail.who(context),
        ...whose(session),
        ...about,
        ...done.record,
        outcome: 'success',
        ...decidedOn(admission),
      },
      intent?.id,
    );
    done.recorded?.();
    return { result: done.result, receipt };
  }
}

const decidedOn = <R>({ policies, grants, revisions }: { policies: readonly string[]; grants?: readonly string[]; revisions: R }) => ({
  policies: policies as string[],
  ...(grants ? { grants: grants as string[] } : {}),
  revisions,
});

const whose = (session: SessionView | undefined) => (session ? { ip: session.ip, mfa: session.mfa } : {});

export const defaultProblem = (error: unknown): ProblemError => new ProblemError('ERR_INTERNAL', undefined, { cause: error });
