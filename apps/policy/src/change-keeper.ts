import type { KeyObject } from 'node:crypto';
import { randomInt, randomUUID } from 'node:crypto';
import { ApprovalRefused, commandDigest, type People, peopleWhoCan, proveApproval } from '@claviger/authz';
import {
  ApprovalDemand,
  type ApprovalProof,
  approvalDemandType,
  type ChangeOutcomeView,
  type ChangeState,
  type ChangesView,
  changeableOperations,
  changeLimits,
  cloudEvent,
  type EventType,
  eventSubject,
  limits,
  outcomeId,
  ProblemError,
} from '@claviger/contracts';
import { type KvOwner, type KvView, type OutboxItem, OutboxRelay, type RecordIntent, verifyRecord } from '@claviger/messaging';
import { type OwedRecords, outcomeLingerSeconds } from '@claviger/service';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import {
  approveChange,
  assertApprover,
  assertWaiting,
  type Change,
  challengeOf,
  endChange,
  reopenChange,
  requestChange,
  viewOf,
} from './change';
import type { ChangeEntry } from './change-document';
import type { ChangeStore } from './change-store';

const attempts = 8;
const sweepEveryMs = 2_000;
const lookEveryMs = 15_000;
const byPeople: readonly ChangeOutcomeView['state'][] = ['rejected', 'withdrawn'];
const waiting: readonly ChangeState[] = ['requested', 'approved'];
/** Those that may still become something else. */
const unsettled: readonly ChangeState[] = [...waiting, 'executing'];

export interface ChangeKeeperParts {
  connection: NatsConnection;
  store: ChangeStore;
  owed: OwedRecords;
  owner: Pick<KvOwner<ChangesView>, 'put' | 'claim' | 'keepMark' | 'sign'>;
  view: KvView<ChangesView>;
  people: People;
  trusted: ReadonlyMap<string, KeyObject>;
  logger: LoggerService;
  nowMs?: () => number;
}

export interface Asked {
  operation: string;
  input: Record<string, unknown>;
  reason: string;
  expiresInHours: number;
  demand: string;
}
/** The record of who does it, as it will be. */
type Intend = (change: Change) => RecordIntent;
export interface Kept {
  change: Change;
  /** To be called when that record is in the ledger. */
  recorded: () => void;
}

/** Keeps change requests: in the store, where they are decided, and in the bucket, where those who execute them read them and say what became of them. */
export class ChangeKeeper {
  private readonly relay: OutboxRelay<ChangeEntry>;
  private readonly nowMs: () => number;
  private looking: NodeJS.Timeout | undefined;

  constructor(private readonly parts: ChangeKeeperParts) {
    this.relay = new OutboxRelay(parts.store, (item) => this.deliver(item), parts.logger, 'outbox of changes');
    this.nowMs = parts.nowMs ?? Date.now;
  }

  /** Once the bucket is there. */
  start(): void {
    const { view, owner, owed } = this.parts;
    this.relay.start(sweepEveryMs);
    owed.start();
    owner.keepMark(view);
    void owner.sign(view);
    view.onChange((record) => {
      if (record.kind === 'outcome' && !byPeople.includes(record.state) && record.state !== 'executing')
        void this.settle(record).catch((error) => this.later(record.change, error));
    });
    this.looking = setInterval(() => void this.look(), lookEveryMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.looking);
    await this.relay.stop();
    await this.parts.owed.stop();
  }

  /** Throws ERR_CHANGE_UNSUPPORTED, ERR_MALFORMED_REQUEST, ERR_CHANGE_MISMATCH, ERR_CHANGE_STATE, ERR_STORE_UNAVAILABLE. */
  async request(requester: string, asked: Asked, intend: Intend): Promise<Kept> {
    const { operation, reason, expiresInHours } = asked;
    const nowMs = this.nowMs();
    const input = inputOf(operation, asked.input);
    const { quorum, approvers } = this.demanded(requester, { operation, input }, asked.demand, nowMs);
    const able = peopleWhoCan({ rule: { quorum, approvers }, requester, people: this.parts.people, nowMs });
    if (able < quorum)
      throw new ProblemError(
        'ERR_CHANGE_STATE',
        `${quorum} people who are ${approvers.join(' or ')} would have to approve it, and only ${able} could (enabled, not you, with approvalKeys in the policy bundle): enrol more, see claviger approvals.`,
      );
    await this.assertRoom(requester);
    const change = requestChange({ change: newChangeId(), requester, operation, input, reason, quorum, approvers }, expiresInHours, nowMs);
    const intent = intend(change);
    const owed = this.parts.owed.owe(change.change, intent);
    const outbox = this.outboxOf(change, 'io.claviger.change.requested', intent.entry.principal, intent.at);
    await this.parts.store.insert(change, outbox, owed);
    await this.deliverSoon(change.change, outbox);
    return { change, recorded: () => this.parts.owed.settle(change.change, owed) };
  }

  /** Throws ERR_CHANGE_UNKNOWN. */
  async get(id: string): Promise<Change> {
    const change = await this.stored(id);
    // What its executor said last may not have reached the store yet.
    const outcome = this.outcome(id);
    if (outcome?.state === 'open') return change.state === 'executing' ? reopenChange(change, this.parts.people, this.nowMs()) : change;
    return outcome && waiting.includes(change.state) ? endChange(change, endOf(outcome)) : change;
  }

  private async stored(id: string): Promise<Change> {
    const change = await this.parts.store.get(id);
    if (!change) throw new ProblemError('ERR_CHANGE_UNKNOWN');
    return change;
  }

  find = (query: Parameters<ChangeStore['find']>[0]): Promise<Change[]> => this.parts.store.find(query);

  /** Throws ERR_APPROVER, ERR_APPROVAL_INVALID, ERR_CHANGE_EXPIRED, ERR_CHANGE_STATE, ERR_CHANGE_USED. */
  async approve(id: string, approver: string, proof: ApprovalProof, intend: Intend): Promise<Kept> {
    const { people } = this.parts;
    const nowMs = this.nowMs();
    return this.change(id, intend, async (change) => {
      assertWaiting(change, nowMs);
      assertApprover(change, approver, people, nowMs);
      const approval = { approver, at: new Date(nowMs).toISOString(), proof };
      const keys = people.principalOf(approver)?.approvalKeys ?? [];
      if (keys.length === 0)
        throw new ProblemError('ERR_APPROVAL_INVALID', 'You have no approvalKeys in the policy bundle: claviger approvals says how.');
      const { key } = await proveApproval(approval, { change: id, challenge: challengeOf(change) }, keys).catch((error) => {
        throw error instanceof ApprovalRefused ? new ProblemError('ERR_APPROVAL_INVALID', `It is refused: ${error.message}.`) : error;
      });
      const to = approveChange(change, approval, key, people, nowMs);
      return { to, event: change.state !== 'approved' && to.state === 'approved' ? 'io.claviger.change.approved' : undefined };
    });
  }

  reject(id: string, by: string, reason: string, intend: Intend): Promise<Kept> {
    return this.end(id, { state: 'rejected', by, reason }, intend, (change) => assertApprover(change, by, this.parts.people, this.nowMs()));
  }

  withdraw(id: string, by: string, reason: string, intend: Intend): Promise<Kept> {
    return this.end(id, { state: 'withdrawn', by, reason }, intend);
  }

  /** In the bucket first, where it wins against whoever executes it, or loses; then in the store. */
  private async end(
    id: string,
    { state, by, reason }: { state: 'rejected' | 'withdrawn'; by: string; reason: string },
    intend: Intend,
    assertMay: (change: Change) => void = () => undefined,
  ): Promise<Kept> {
    const asked = await this.get(id);
    assertMay(asked);
    assertWaiting(asked, this.nowMs());
    const open = this.outcome(id);
    const record: ChangeOutcomeView = {
      ...{ kind: 'outcome', id: outcomeId(id), revision: (open?.revision ?? 0) + 1, change: id, state, by },
      ...{ at: new Date(this.nowMs()).toISOString(), expiresAt: asked.expiresAt },
    };
    const { owner } = this.parts;
    const seconds = this.seconds(asked);
    const won = open ? (await owner.put(record, seconds)) === 'written' : await owner.claim(record, seconds);
    if (!won) throw new ProblemError('ERR_CHANGE_USED', 'Somebody ends or executes it at this moment: see claviger changes show.');
    const decide = async (stored: Change) => {
      const isOurs = stored.state === state && stored.ended?.at === record.at;
      return isOurs
        ? { to: stored, event: undefined }
        : { to: endChange(stored, { ...record, state }, reason), event: `io.claviger.change.${state}` as const };
    };
    return this.change(id, intend, decide, (one) => this.stored(one));
  }

  /** `decide` gets the change as it is at each attempt; given back unchanged there is nothing to do. */
  private async change(
    id: string,
    intend: Intend,
    decide: (change: Change) => Promise<{ to: Change; event: EventType | undefined }>,
    read: (id: string) => Promise<Change> = (one) => this.get(one),
  ): Promise<Kept> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const from = await read(id);
      const { to, event } = await decide(from);
      if (to === from) return { change: from, recorded: () => undefined };
      const intent = intend(to);
      const owed = this.parts.owed.owe(id, intent);
      const outbox = this.outboxOf(to, event, intent.entry.principal, intent.at);
      if (!(await this.parts.store.replace(from, to, outbox, [owed]))) continue;
      await this.deliverSoon(id, outbox);
      return { change: to, recorded: () => this.parts.owed.settle(id, owed) };
    }
    throw new ProblemError('ERR_CONFLICT');
  }

  /** What an executor said of a change, in its document. Any replica does it; who does it second finds it done. */
  private async settle(outcome: ChangeOutcomeView): Promise<void> {
    const { people } = this.parts;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const from = await this.parts.store.get(outcome.change);
      // What was said since is settled by itself.
      if (this.outcome(outcome.change)?.revision !== outcome.revision) return;
      if (!from || !unsettled.includes(from.state) || from.state === outcome.state) return;
      const isOpen = outcome.state === 'open';
      if (isOpen && from.state !== 'executing') return;
      const to = isOpen ? { ...reopenChange(from, people, this.nowMs()), revision: from.revision + 1 } : endChange(from, endOf(outcome));
      const outbox = this.outboxOf(to, eventOf(outcome.state), outcome.by, outcome.at);
      if (!(await this.parts.store.replace(from, to, outbox, []))) continue;
      return this.deliverSoon(outcome.change, outbox);
    }
  }

  /** Those that ended without this process hearing of it, and those whose time is over. */
  private async look(): Promise<void> {
    try {
      const now = new Date(this.nowMs()).toISOString();
      for (const record of this.parts.view.values()) if (record.kind === 'outcome' && !this.isUnderWay(record)) await this.settle(record);
      for (const from of await this.parts.store.find({ state: waiting, expiresBefore: now, limit: limits.listPage })) {
        const to = endChange(from, { state: 'expired', by: 'policy', at: now });
        const outbox = this.outboxOf(to, 'io.claviger.change.expired', 'policy', now);
        if (await this.parts.store.replace(from, to, outbox, [])) await this.deliverSoon(to.change, outbox);
      }
    } catch (error) {
      this.later('those that wait', error);
    }
  }

  /**
   * Whoever rejects or withdraws it writes that themselves, with the reason; this is for one who ended in between. So does whoever executes it say how that went,
   * mostly at once: that it began is written down when it takes long.
   */
  private isUnderWay({ state, at }: ChangeOutcomeView): boolean {
    return (byPeople.includes(state) || state === 'executing') && this.nowMs() - Date.parse(at) < lookEveryMs;
  }

  private demanded(requester: string, command: { operation: string; input: Record<string, unknown> }, signed: string, nowMs: number) {
    let demand: ApprovalDemand;
    try {
      demand = ApprovalDemand.parse(verifyRecord(approvalDemandType, signed, this.parts.trusted));
    } catch (cause) {
      throw new ProblemError('ERR_CHANGE_MISMATCH', 'The demand is none that a service signed.', { cause });
    }
    if (demand.principal !== requester || demand.operation !== command.operation || demand.command !== commandDigest(command))
      throw new ProblemError(
        'ERR_CHANGE_MISMATCH',
        'The demand is of another command, or of another principal: send the command again, and request what is refused then.',
      );
    const age = nowMs - Date.parse(demand.at);
    if (age > changeLimits.demandMinutes * 60_000 || age < -limits.clockSkewSeconds * 1_000)
      throw new ProblemError(
        'ERR_CHANGE_MISMATCH',
        `The demand is older than ${changeLimits.demandMinutes} minutes: send the command again, and request what is refused then.`,
      );
    return demand;
  }

  private async assertRoom(requester: string): Promise<void> {
    const [own, all] = await Promise.all([this.parts.store.count(waiting, requester), this.parts.store.count(waiting)]);
    if (own >= changeLimits.openPerRequester || all >= changeLimits.openTotal)
      throw new ProblemError(
        'ERR_CHANGE_STATE',
        `${own} change requests of yours wait, and ${all} in all: at most ${changeLimits.openPerRequester} and ${changeLimits.openTotal} may. Withdraw what is not needed.`,
      );
  }

  private outcome(id: string): ChangeOutcomeView | undefined {
    const found = this.parts.view.get(outcomeId(id));
    return found?.kind === 'outcome' ? found : undefined;
  }

  private outboxOf(change: Change, type: EventType | undefined, by: string, at: string): ChangeEntry[] {
    const id = randomUUID();
    const view: ChangeEntry = { id: `${id}.view`, kind: 'view' };
    if (!type) return [view];
    const { change: changeId, state, requester, operation, reason, quorum, approvers, approvals, expiresAt, ended: end } = change;
    const data = {
      ...{ change: changeId, state, requester, operation, reason, quorum, approvers: [...approvers], expiresAt, by },
      approvedBy: [...new Set(approvals.map(({ approver }) => approver))],
      ...(end?.code === undefined ? {} : { code: end.code }),
    };
    const event = cloudEvent(type as 'io.claviger.change.requested', { id, source: 'claviger/policy', time: at, subject: changeId, data });
    return [view, { id, kind: 'event', event }];
  }

  private async deliver({ aggregateId, entry }: OutboxItem<ChangeEntry>): Promise<void> {
    if (entry.kind === 'event') {
      await jetstream(this.parts.connection).publish(eventSubject(entry.event.type), JSON.stringify(entry.event), {
        msgID: entry.event.id,
      });
      return;
    }
    const change = await this.parts.store.get(aggregateId);
    // Of what is over nobody needs to know any more: its record in the bucket goes by itself.
    if (change && Date.parse(change.expiresAt) > this.nowMs()) await this.parts.owner.put(viewOf(change), this.seconds(change));
  }

  private async deliverSoon(id: string, outbox: ChangeEntry[]): Promise<void> {
    await this.relay
      .deliverNow(outbox.map((entry) => ({ aggregateId: id, entryId: entry.id, entry })))
      .catch((error) => this.later(id, error));
  }

  private later(what: string, error: unknown): void {
    this.parts.logger.warn(`changes: ${what}: will be tried again: ${String(error)}`);
  }

  private seconds({ expiresAt }: Change): number {
    return Math.max(1, (Date.parse(expiresAt) - this.nowMs()) / 1_000) + outcomeLingerSeconds;
  }
}

/** Of the operation's own strict schema, defaults included. */
function inputOf(operation: string, input: Record<string, unknown>): Record<string, unknown> {
  const known = changeableOperations.get(operation);
  if (!known) throw new ProblemError('ERR_CHANGE_UNSUPPORTED', `${operation} is no operation that can be done by a change request.`);
  const parsed = known.item.safeParse(input);
  if (parsed.success) return parsed.data as Record<string, unknown>;
  const detail = parsed.error.issues
    .slice(0, 5)
    .map(({ path, message }) => `input.${path.join('.').slice(0, 80)}: ${message.slice(0, 120)}`);
  throw new ProblemError('ERR_MALFORMED_REQUEST', detail.join('; '));
}

const endOf = (outcome: ChangeOutcomeView) => ({ ...outcome, state: outcome.state as ChangeState });

const eventOf = (state: ChangeOutcomeView['state']): EventType | undefined =>
  state === 'open' || state === 'executing' ? undefined : `io.claviger.change.${state}`;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
/** `ch_` and 131 random bits. */
const newChangeId = (): string => `ch_${Array.from({ length: 22 }, () => alphabet[randomInt(alphabet.length)]).join('')}`;
