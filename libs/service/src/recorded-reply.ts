import { type Admission, type ApprovalRule, type ApprovedWay, Charges, type Gate, QuotaPending, Refusal, strictest } from '@claviger/authz';
import { type Action, isAlias, type Operation, type OperationRecord, ProblemError, type SessionView } from '@claviger/contracts';
import type { Answer, AuditTrail, RecordIntent, RequestContext } from '@claviger/messaging';
import type { ApprovedChanges, OpenChange } from './approved-changes';

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
export type About = Partial<
  Pick<OperationRecord, 'bytes' | 'digest' | 'context' | 'toKeyId' | 'toAlias' | 'toVersion' | 'toContext' | 'recipient'>
> &
  AboutChange & {
    /** What policy was asked, where that is not the action of the operation. */
    action?: Action;
  };
type AboutChange = Partial<Pick<OperationRecord, 'keyId' | 'alias' | 'previousKeyId' | 'version' | 'reason' | 'change' | 'approvedBy'>>;

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
  /** Runs what only looks, before anything is done: where it throws, what was counted for the request goes back. */
  preparing: <T>(look: () => T) => T;
  /** For what anybody with a live session may do. */
  admitAnyone: () => Admission;
  /** Beyond what policy said: these approvals are needed as well. Throws Refusal ERR_APPROVAL_REQUIRED. Policy has been asked before. */
  admitWith: (rule: ApprovalRule, why: string) => void;
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
    /** Where operations can be done by a change request that others approved. */
    private readonly changes?: Pick<ApprovedChanges, 'open' | 'demand'>,
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
    let change: OpenChange | undefined;
    const approvals = new Approvals();
    const charges = new Charges();
    // What is asked again of work that was done is not counted: it is the same use.
    let counting = true;
    // Set while nothing can have been done, however it ends.
    let looking = false;
    const admitted = (...question: Question): Admission => {
      // The session as it is now: `work` may have waited for something, and meanwhile it may have been revoked.
      const now = this.gate.session(context);
      return approvals.under(
        change,
        () => (counting ? this.gate.admit(now, charges, ...question) : this.gate.confirm(now, charges, ...question)),
        (way) => (counting ? this.gate.chargeApproved(way, charges, question[0], question[1]) : way.admission),
      );
    };
    try {
      session = this.gate.knows(context) ? this.gate.session(context) : await this.gate.arrived(context);
      if (arrive) await arrive();
      const known = session;
      if (context.change !== undefined) {
        if (!this.changes) throw new ProblemError('ERR_CHANGE_UNSUPPORTED');
        const opened = await this.changes.open(context);
        await opened.begin();
        change = opened;
      }
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
        preparing: (look) => {
          looking = true;
          const seen = look();
          looking = false;
          return seen;
        },
        admitAnyone: () => {
          admission = this.gate.anyone(known);
          return admission;
        },
        admitWith: (rule, why) => {
          if (!admission) throw new Error(`${operation.name} did not ask policy`);
          const decided = admission;
          const refuse = () => {
            const ways = [{ rule, admission: decided, grants: [] }];
            throw new Refusal('ERR_APPROVAL_REQUIRED', why, decided.policies, decided.revisions, undefined, ways);
          };
          approvals.under(change, refuse);
        },
        intend: ({ revision, ...changed }) => {
          if (!admission) throw new Error(`${operation.name} did not ask policy`);
          const decided = decidedOn(admission);
          const who = { action: operation.action, ...this.trail.who(context), ...whose(known), ...approvals.of(change) };
          intent = this.trail.intend({ ...who, ...about, ...changed, ...decided, revision }, intent?.id);
          return intent;
        },
      };
      // Policy, and with it quotas, are asked before anything is done: work that has to wait for its quota begins again.
      for (let deadline: number | undefined; ; ) {
        try {
          looking = false;
          const doing = work(asker);
          // Awaited only where it must be: what is decided, done and handed to the record in one turn cannot be overtaken by a change.
          done = doing instanceof Promise ? await doing : doing;
          break;
        } catch (error) {
          if (!(error instanceof QuotaPending)) throw error;
          looking = true;
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
      // Nothing was done: it does not count, and a change that others approved can be executed again.
      const isUndone = problem.code === 'ERR_DRY_RUN' || ((problem instanceof Refusal || looking) && counting && !intent);
      if (isUndone) charges.takeBack();
      await change?.end(isUndone ? 'open' : 'failed', problem.code);
      await this.demand(problem, approvals, context, operation);
      const decided = problem instanceof Refusal ? problem : admission;
      // Under the id of what was intended: should that have been committed all the same, the two are told to be one.
      return this.trail.refuse(
        context,
        operation,
        problem,
        {
          ...about,
          ...whose(session),
          ...(context.change ? { change: context.change } : {}),
          ...(decided ? decidedOn(decided) : {}),
        },
        intent?.id,
      );
    }
    const receipt = await this.trail.operation(
      {
        action: operation.action,
        ...this.trail.who(context),
        ...whose(session),
        ...about,
        ...approvals.of(change),
        ...done.record,
        outcome: 'success',
        ...decidedOn(admission),
      },
      intent?.id,
    );
    await change?.end('executed');
    done.recorded?.();
    return { result: done.result, receipt };
  }

  /** Puts what a change request can be made of beside the refusal. */
  private async demand(problem: ProblemError, approvals: Approvals, context: RequestContext, { name }: Operation): Promise<void> {
    const rule = problem.code === 'ERR_APPROVAL_REQUIRED' ? approvals.asked() : undefined;
    // Not of one item of a batch.
    if (!rule || !this.changes || context.command?.operation !== name) return;
    try {
      const demand = await this.changes.demand(context, rule);
      if (demand) problem.approval = { quorum: rule.quorum, approvers: [...rule.approvers], demand };
    } catch {
      // It is refused all the same; asked again it may be signed.
    }
  }
}

/** The approvals that were asked for in the course of one request, and whose counted. */
class Approvals {
  private readonly rules: ApprovalRule[] = [];
  private readonly approvedBy = new Set<string>();

  /**
   * Decides, with the approvals of a change where policy asks for some. `count` counts what these admit, and gives nothing where what it takes is used up.
   * Throws Refusal.
   */
  under(
    change: OpenChange | undefined,
    decide: () => Admission,
    count: (way: ApprovedWay) => Admission | undefined = ({ admission }) => admission,
  ): Admission {
    try {
      return decide();
    } catch (error) {
      const asked = error instanceof Refusal ? error.ways[0] : undefined;
      if (!(error instanceof Refusal) || !asked) throw error;
      this.rules.push(asked.rule);
      if (!change) throw error;
      let why: string | undefined;
      let usedUp: readonly string[] | undefined;
      for (const way of error.ways) {
        const counted = change.count(way.rule);
        if (!counted.satisfied) why ??= counted.why;
        else {
          const admission = count(way);
          if (admission) {
            for (const approver of counted.approvers) this.approvedBy.add(approver);
            return admission;
          }
          usedUp ??= way.admission.grants;
        }
      }
      const { code, detail, policies, revisions } = error;
      if (usedUp)
        throw new Refusal('ERR_ACCESS_DENIED', `The grant ${usedUp.join(', ')}, which would allow it, is used up.`, policies, revisions);
      throw new Refusal(code, `${detail}: ${why}`, policies, revisions);
    }
  }

  /** One rule that satisfies all that were asked for; undefined when there is none. */
  asked(): ApprovalRule | undefined {
    return this.rules.length === 0 ? undefined : strictest(this.rules);
  }

  of(change: OpenChange | undefined): { change?: string; approvedBy?: string[] } {
    if (!change) return {};
    return { change: change.change, ...(this.approvedBy.size > 0 ? { approvedBy: [...this.approvedBy] } : {}) };
  }
}

/** For a record: by which policies, on which revisions. */
export const decidedOn = <R>({
  policies,
  grants,
  revisions,
}: {
  policies: readonly string[];
  grants?: readonly string[];
  revisions: R;
}) => ({
  policies: policies as string[],
  ...(grants ? { grants: grants as string[] } : {}),
  revisions,
});

/** For a record: of the session. */
export const whose = (session: SessionView | undefined) => (session ? { ip: session.ip, mfa: session.mfa } : {});

export const defaultProblem = (error: unknown): ProblemError => new ProblemError('ERR_INTERNAL', undefined, { cause: error });
