import { setTimeout as delay } from 'node:timers/promises';
import type { LoggerService } from '@nestjs/common';
import { fold, foldNewLife, type Rules, type Step, wanted } from './fold';
import type { Head } from './head';
import { LedgerStore } from './ledger-store';
import { claimedSeals } from './seals';
import { AuditStream } from './stream';
import type { StreamMessage } from './stream-message';

export interface SequencerOptions {
  store: LedgerStore;
  stream: Pick<AuditStream, 'changed' | 'firstSeq' | 'range'>;
  rules: Rules;
  /** `rulesName` of these rules. */
  rulesName: string;
  logger: LoggerService;
  /** Called before a step is written; what it returns is called when the step is committed, or with the error. */
  observe?: (step: Step) => (error?: unknown) => void;
  /** How long another sequencer may take to append what was delivered to it, before this one reads it from the stream. */
  patienceMs?: number;
}

/** One step writes about as much as one store message holds. */
const maxStepBytes = 8 * 1024 * 1024;
const maxStepMessages = 500;
const patienceStepMs = 50;

/**
 * Appends the stream to the ledger, in stream order, each message once. Any number of sequencers may run: deliveries are shared among
 * them, each move of the head is a compare-and-set, and who loses it loads the head and goes on from there. A message is acknowledged
 * (this returns) only when the head is past it.
 */
export class Sequencer {
  private committed: Head | undefined;

  constructor(private readonly options: SequencerOptions) {}

  /** The last committed head that this process knows; undefined before `open`. */
  get head(): Head | undefined {
    return this.committed;
  }

  /** Loads the head and, when it was moved under other rules, takes over: their uncommitted documents may be replaced from now on. */
  async open(): Promise<Head> {
    const { store, rulesName, logger } = this.options;
    await store.prepare(rulesName);
    for (;;) {
      const head = await store.loadHead();
      if (head.rules === rulesName) return this.hold(head);
      const next = { ...head, revision: head.revision + 1, term: head.term + 1, rules: rulesName };
      if (await store.moveHead(head, next)) {
        logger.log(`certifiers or rules changed: term ${next.term} begins at leaf ${head.edge.size}`);
        return this.hold(next);
      }
    }
  }

  private hold(head: Head): Head {
    this.committed = head;
    return head;
  }

  /** Reads the head again: another process may have moved it. */
  async refresh(): Promise<Head> {
    const head = await this.options.store.loadHead();
    if (head.rules !== this.options.rulesName)
      throw new Error('an audit process with other certifiers or another version has taken over; this one appends nothing more: stop it');
    return this.hold(head);
  }

  /** Handles delivered messages, in stream order. Resolves when the committed head is past all of them. */
  async handle(messages: readonly StreamMessage[]): Promise<void> {
    const { stream } = this.options;
    try {
      let head = this.committed ?? (await this.refresh());
      if (messages.some(({ seq }) => seq <= head.streamSeq)) {
        // Delivered again after a crash, appended by another sequencer, or the sequences began anew: only the stream can tell.
        head = await this.refresh();
        const finding = await stream.changed(head);
        if (finding) await this.commit(head, foldNewLife(head, finding));
      }
      for (const run of portions(messages)) {
        await this.bridge(run[0]!.seq);
        await this.append(run);
      }
    } catch (error) {
      // Whether the last move happened is unknown: the next attempt starts from what the store holds.
      this.committed = undefined;
      throw error;
    }
  }

  /** Appends what the stream holds up to before `seq` and no delivery will bring. */
  async catchUp(seq: number): Promise<void> {
    const head = await this.refresh();
    const finding = await this.options.stream.changed(head);
    if (finding) await this.commit(head, foldNewLife(head, finding));
    await this.bridge(seq);
  }

  /** Closes the hole before `seq`: waits for whom its messages were delivered to, then reads them itself. Only what the stream's leader does not have is missing. */
  private async bridge(seq: number): Promise<void> {
    const { stream, patienceMs = 500 } = this.options;
    const isOpen = (head: Head | undefined): head is Head => head === undefined || head.streamSeq + 1 < seq;
    for (let waited = 0; isOpen(this.committed) && waited < patienceMs; waited += patienceStepMs) {
      await this.refresh();
      if (isOpen(this.committed)) await delay(patienceStepMs);
    }
    if (!isOpen(this.committed)) return;
    let at = Math.max(this.committed.streamSeq + 1, await stream.firstSeq());
    for (; at < seq; at += maxStepMessages) {
      const found = await stream.range(at, Math.min(seq, at + maxStepMessages) - 1);
      for (const portion of portions(found, 'with holes')) await this.append(portion);
    }
  }

  /** What lies between the head and these messages, or between two of them, is missing in the stream. */
  private async append(messages: readonly StreamMessage[]): Promise<void> {
    for (;;) {
      const head = this.committed ?? (await this.refresh());
      const fresh = messages.filter(({ seq }) => seq > head.streamSeq);
      if (fresh.length === 0) return;
      if (await this.commit(head, fold(head, fresh, this.options.rules, await this.recall(head, fresh)))) return;
    }
  }

  private recall(head: Head, messages: readonly StreamMessage[]) {
    return this.options.store.recall(head, wanted(head, claimedSeals(messages)));
  }

  private async commit(from: Head, step: Step): Promise<boolean> {
    const done = this.options.observe?.(step);
    try {
      const won = await this.options.store.commit(from, step);
      if (won) this.committed = step.head;
      else await this.refresh();
      done?.(won ? undefined : new Error('another sequencer appended this'));
      return won;
    } catch (error) {
      done?.(error);
      throw error;
    }
  }
}

/** Messages in portions that one step can hold; each without holes, unless holes are known to be missing messages. */
function portions(messages: readonly StreamMessage[], holes?: 'with holes'): StreamMessage[][] {
  const all: StreamMessage[][] = [];
  let bytes = 0;
  for (const message of messages) {
    const last = all.at(-1);
    const follows = holes !== undefined || last?.at(-1)?.seq === message.seq - 1;
    if (last && follows && last.length < maxStepMessages && bytes + message.data.length <= maxStepBytes) {
      last.push(message);
      bytes += message.data.length;
    } else {
      all.push([message]);
      bytes = message.data.length;
    }
  }
  return all;
}
