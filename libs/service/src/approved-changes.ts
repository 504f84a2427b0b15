import {
  ApprovalRefused,
  type ApprovalRule,
  type Count,
  changeChallenge,
  commandDigest,
  countApprovals,
  type People,
  type ProvenApproval,
  proveApproval,
} from '@claviger/authz';
import {
  type ApprovalDemand,
  approvalDemandType,
  type ChangeOutcomeView,
  type ChangesView,
  type ChangeView,
  type ErrorCode,
  outcomeId,
  ProblemError,
} from '@claviger/contracts';
import { type KvOwner, type KvView, type RecordSigner, type RequestContext, SigningTogether } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';

export interface ApprovedChangesParts {
  view: Pick<KvView<ChangesView>, 'fresh' | 'fetch'>;
  owner: Pick<KvOwner<ChangesView>, 'claim' | 'put'>;
  /** By this process's own copy of the policy bundle. */
  people: People;
  signer: RecordSigner;
  /** Service and process. */
  holder: string;
  logger: Pick<LoggerService, 'error'>;
  /** Milliseconds since 1970-01-01 UTC. */
  nowMs?: () => number;
}

/** How long what became of a change is kept after the change has expired, in seconds: nothing looks at it any more. */
export const outcomeLingerSeconds = 3_600;

/** A change that this request is to be done by, with the approvals that prove it. */
export interface OpenChange {
  readonly change: string;
  /** Whose approvals count, of those that policy asks for now. */
  count(rule: ApprovalRule): Count;
  /** Claims the change: from then on nobody executes, withdraws or rejects it. Throws ERR_CHANGE_USED, ERR_CHANGE_STATE. */
  begin(): Promise<void>;
  /** `open`: it was refused before anything was done. */
  end(state: 'executed' | 'failed' | 'open', code?: ErrorCode): Promise<void>;
}

/**
 * What a service does with changes that others approved. It believes nobody: the requester brings the command again, the hash of it is what the approvers signed,
 * and their keys and roles are those of this service's own copy of the policy bundle. A change is claimed, by an atomic create in the bucket, before anything is
 * done: it is executed at most once, by however many services and in whatever order they stop.
 */
export class ApprovedChanges {
  private readonly nowMs: () => number;
  private readonly signing: SigningTogether;

  constructor(private readonly parts: ApprovedChangesParts) {
    this.nowMs = parts.nowMs ?? Date.now;
    this.signing = new SigningTogether(parts.signer);
  }

  /** That policy asks for this approval of this command of this principal: what `changes.request` takes. */
  async demand({ principal, command }: RequestContext, { quorum, approvers }: ApprovalRule): Promise<string | undefined> {
    if (!command) return undefined;
    const at = new Date(this.nowMs()).toISOString();
    const demand: ApprovalDemand = {
      ...{ principal, operation: command.operation, command: commandDigest(command) },
      ...{ quorum, approvers: [...approvers], at },
    };
    return this.signing.sign(approvalDemandType, demand);
  }

  /**
   * Throws ERR_CHANGE_UNKNOWN, ERR_CHANGE_EXPIRED, ERR_CHANGE_MISMATCH, ERR_CHANGE_USED, ERR_CHANGE_STATE; ERR_APPROVAL_REQUIRED where the approvals are fewer
   * than the change itself asks for, as people and keys are now.
   */
  async open({ principal, change: id, command }: RequestContext): Promise<OpenChange> {
    if (!id || !command) throw new ProblemError('ERR_CHANGE_UNSUPPORTED');
    const { view } = this.parts;
    if (!view.fresh()) throw new ProblemError('ERR_STATE_STALE', 'This service cannot prove that its view of change requests is current.');
    const [change, outcome] = await Promise.all([this.read(id), this.read(outcomeId(id))]);
    if (change?.kind !== 'change' || change.requester !== principal) throw new ProblemError('ERR_CHANGE_UNKNOWN');
    const before = outcome?.kind === 'outcome' ? outcome : undefined;
    assertOpen(before);
    if (Date.parse(change.expiresAt) <= this.nowMs()) throw new ProblemError('ERR_CHANGE_EXPIRED', `It expired at ${change.expiresAt}.`);
    if (change.operation !== command.operation || change.command !== commandDigest(command))
      throw new ProblemError(
        'ERR_CHANGE_MISMATCH',
        `${id} is for another command: ${change.operation}, with exactly the input that was requested.`,
      );
    const proven = await this.proven(change, command.input);
    const count = (rule: ApprovalRule) =>
      countApprovals(proven.approvals, { rule, requester: principal, people: this.parts.people, nowMs: this.nowMs() });
    const own = count(change);
    if (!own.satisfied) throw new ProblemError('ERR_APPROVAL_REQUIRED', [own.why, ...proven.refused].join('; '));
    return { change: id, count, ...this.claims(change, before) };
  }

  private claims(change: ChangeView, before: ChangeOutcomeView | undefined): Pick<OpenChange, 'begin' | 'end'> {
    const { owner, holder, logger } = this.parts;
    let revision = (before?.revision ?? 0) + 1;
    const outcome = (state: ChangeOutcomeView['state'], code?: string): ChangeOutcomeView => ({
      ...{ kind: 'outcome', id: outcomeId(change.id), revision, change: change.id, state, by: holder },
      ...{ at: new Date(this.nowMs()).toISOString(), expiresAt: change.expiresAt, ...(code === undefined ? {} : { code }) },
    });
    const seconds = () => (Date.parse(change.expiresAt) - this.nowMs()) / 1_000 + outcomeLingerSeconds;
    return {
      begin: async () => {
        const claim = outcome('executing');
        const won = before ? (await owner.put(claim, seconds())) === 'written' : await owner.claim(claim, seconds());
        if (won) return;
        const now = await this.read(claim.id);
        assertOpen(now?.kind === 'outcome' ? now : undefined);
        throw new ProblemError('ERR_CHANGE_USED', 'It is executed at the same time.');
      },
      end: async (state, code) => {
        revision += 1;
        try {
          await owner.put(outcome(state, code), seconds());
        } catch (error) {
          // It stays claimed: what was done is in the ledger, under the id of the change.
          logger.error(`change ${change.id}: that it is ${state} could not be told: ${String(error)}`);
        }
      },
    };
  }

  private async proven(
    change: ChangeView,
    input: Readonly<Record<string, unknown>>,
  ): Promise<{ approvals: ProvenApproval[]; refused: string[] }> {
    const { id, requester, operation, reason, quorum, approvers, expiresAt } = change;
    const challenge = changeChallenge({ change: id, requester, operation, input, reason, quorum, approvers, expiresAt });
    const approvals: ProvenApproval[] = [];
    const refused: string[] = [];
    for (const approval of change.approvals)
      try {
        const keys = this.parts.people.principalOf(approval.approver)?.approvalKeys ?? [];
        approvals.push(await proveApproval(approval, { change: id, challenge }, keys));
      } catch (error) {
        if (!(error instanceof ApprovalRefused)) throw error;
        refused.push(`the approval of ${approval.approver} is refused: ${error.message}`);
      }
    return { approvals, refused };
  }

  private async read(id: string): Promise<ChangesView | undefined> {
    try {
      return await this.parts.view.fetch(id);
    } catch (cause) {
      throw new ProblemError('ERR_STATE_STALE', 'The change request cannot be read now, or is not what policy signed.', { cause });
    }
  }
}

function assertOpen(outcome: ChangeOutcomeView | undefined): void {
  if (outcome === undefined || outcome.state === 'open') return;
  const { state, at } = outcome;
  if (state === 'withdrawn' || state === 'rejected') throw new ProblemError('ERR_CHANGE_STATE', `It was ${state} at ${at}.`);
  throw new ProblemError(
    'ERR_CHANGE_USED',
    state === 'executed'
      ? `It was executed at ${at}.`
      : state === 'failed'
        ? `Its execution failed at ${at}${outcome.code ? ` with ${outcome.code}` : ''}; request it anew.`
        : `Its execution began at ${at}; the ledger says whether it was done.`,
  );
}
