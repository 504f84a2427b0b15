import { type Admission, type ApprovalRule, type Gate, Refusal, strictest } from '@claviger/authz';
import { isAlias, type Operation, type OperationRecord, ProblemError, type SessionView } from '@claviger/contracts';
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
export type About = Partial<Pick<OperationRecord, 'bytes' | 'context' | 'toKeyId' | 'toAlias' | 'toVersion' | 'toContext' | 'recipient'>> &
  AboutChange;
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
    private readonly changes?: ApprovedChanges,
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
      const decide = (...question: Question) => approvals.under(change, () => this.gate.decide(this.gate.session(context), ...question));
      const doing = work({
        session: known,
        admit: (...question) => {
          // The session as it is now: `work` may have waited for something, and meanwhile it may have been revoked.
          admission = decide(...question);
          return admission;
        },
        admitAlso: (...question) => {
          if (!admission) throw new Error(`${operation.name} did not ask policy of its first key`);
          const { policies } = decide(...question);
          admission = { ...admission, policies: [...new Set([...admission.policies, ...policies])] };
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
        admitWith: (rule, why) => {
          if (!admission) throw new Error(`${operation.name} did not ask policy`);
          const { policies, revisions } = admission;
          const decided = admission;
          approvals.under(change, () => {
            throw new Refusal('ERR_APPROVAL_REQUIRED', why, policies, revisions, { rule, admission: decided });
          });
        },
        intend: ({ revision, ...changed }) => {
          if (!admission) throw new Error(`${operation.name} did not ask policy`);
          const { policies, revisions } = admission;
          const decided = { policies: policies as string[], revisions };
          const who = { action: operation.action, ...this.trail.who(context), ...whose(known), ...approvals.of(change) };
          intent = this.trail.intend({ ...who, ...about, ...changed, ...decided, revision }, intent?.id);
          return intent;
        },
      });
      // Awaited only where it must be: what is decided, done and handed to the record in one turn cannot be overtaken by a change.
      done = doing instanceof Promise ? await doing : doing;
      done.confirm?.();
      if (!admission) throw new Error(`${operation.name} did not ask policy`);
    } catch (error) {
      const problem = error instanceof ProblemError ? error : this.toProblem(error);
      // What policy or the session refuse is refused before anything is done.
      await change?.end(problem instanceof Refusal ? 'open' : 'failed', problem.code);
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
          ...(decided ? { policies: decided.policies as string[], revisions: decided.revisions } : {}),
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
        policies: admission.policies as string[],
        revisions: admission.revisions,
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

  /** Decides, with the approvals of a change where policy asks for some. Throws Refusal. */
  under(change: OpenChange | undefined, decide: () => Admission): Admission {
    try {
      return decide();
    } catch (error) {
      if (!(error instanceof Refusal) || !error.missing) throw error;
      const { rule, admission } = error.missing;
      this.rules.push(rule);
      if (!change) throw error;
      const count = change.count(rule);
      for (const approver of count.approvers) this.approvedBy.add(approver);
      if (count.satisfied) return admission;
      throw new Refusal(error.code, `${error.detail}: ${count.why}`, error.policies, error.revisions);
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

const whose = (session: SessionView | undefined) => (session ? { ip: session.ip, mfa: session.mfa } : {});

export const defaultProblem = (error: unknown): ProblemError => new ProblemError('ERR_INTERNAL', undefined, { cause: error });
