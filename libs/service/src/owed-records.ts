import { createHash, type KeyObject } from 'node:crypto';
import {
  type AuditTrail,
  type OutboxItem,
  type OutboxPage,
  OutboxRelay,
  type OutboxSource,
  type RecordIntent,
  type RecordSigner,
  SigningTogether,
  signRecord,
  verifyRecord,
} from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';

/** What a change leaves in its own document until its record is known to be in the ledger. Signed, as the document is: it will be believed. */
export interface OwedRecord {
  /** Of the operation's record. */
  id: string;
  /** RFC 3339, UTC. */
  at: string;
  signed: string;
}

export interface OwedPage {
  /** The lists as they are stored: somebody else may have written there. */
  items: { aggregateId: string; entries: unknown }[];
  /** The next page has aggregates with ids after this one; undefined when this was the last. */
  next?: string | undefined;
}

export interface OwedRecordSource {
  /** Of at most `limit` aggregates with ids after `after`. */
  owed(limit: number, after?: string): Promise<OwedPage>;
  removeOwed(aggregateId: string, ids: string[]): Promise<void>;
}

export interface OwedRecordsParts {
  source: OwedRecordSource;
  trail: AuditTrail;
  signer: RecordSigner;
  /** Keys that other processes of this service sign with, by kid. */
  trusted: ReadonlyMap<string, KeyObject>;
  /** Somebody else than this service wrote it: it is recorded nowhere as a change. */
  onTampered: (aggregateId: string, reason: string) => void;
  logger: LoggerService;
  /**
   * Longer than any operation takes and clocks may differ together, so that whoever carries it out can record it. Eight attempts of a compare-and-set (store
   * 10 s at its slowest, then the way to the workers, 3 s) end within 90 s; so does the record (2 s).
   */
  dueAfterMs: number;
}

const typ = 'claviger-owed-record+jws';
/** Ids, and digests of what was refused, that are remembered: enough for what is in documents at one time. */
const remembered = 10_000;
const sweepEveryMs = 2_000;

/**
 * No change without its record, also when the process ends between the two. Who does what and why is committed in one write with the change; the
 * operation's own record settles it. What is not settled in time, a `committed` record is written of, by any process of the service.
 */
export class OwedRecords {
  private readonly relay: OutboxRelay<RecordIntent | undefined>;
  private readonly dueAfterMs: number;
  /** When (monotonic ms) this process promised what it has in hand. */
  private readonly inHand = new Map<string, number>();
  /** Ids that this process knows to be recorded, and the last read of the store that may have seen them in their document. */
  private readonly recorded = new Map<string, number>();
  /** Digests of what was told. */
  private readonly refused = new Map<string, true>();
  private reads = 0;
  private readonly signing: SigningTogether;

  constructor(private readonly parts: OwedRecordsParts) {
    this.signing = new SigningTogether(parts.signer);
    this.dueAfterMs = parts.dueAfterMs;
    const pending: OutboxSource<RecordIntent | undefined> = {
      pending: (limit, after) => this.due(limit, after),
      remove: (aggregateId, ids) => this.remove(aggregateId, ids),
    };
    this.relay = new OutboxRelay(pending, (item) => this.record(item), parts.logger, 'owed records');
  }

  /** To be written in one compare-and-set with the change. */
  owe(aggregateId: string, intent: RecordIntent): OwedRecord {
    this.inHand.set(intent.id, performance.now());
    return { id: intent.id, at: intent.at, signed: signRecord(typ, { aggregateId, ...intent }, this.parts.signer) };
  }

  /** As `owe`, signed together with those of other changes that are made side by side. */
  async oweTogether(aggregateId: string, intent: RecordIntent): Promise<OwedRecord> {
    this.inHand.set(intent.id, performance.now());
    return { id: intent.id, at: intent.at, signed: await this.signing.sign(typ, { aggregateId, ...intent }) };
  }

  /** The operation is recorded. Returns at once; what cannot be taken out now, the sweep takes out. */
  settle(aggregateId: string, { id }: OwedRecord): void {
    this.inHand.delete(id);
    remember(this.recorded, id, Number.POSITIVE_INFINITY);
    void this.relay.deliverNow([{ aggregateId, entryId: id, entry: undefined }]).catch(() => undefined);
  }

  /** As `settle`, where the caller takes it out of its document itself, with those of others. */
  settled({ id }: OwedRecord): void {
    this.inHand.delete(id);
    remember(this.recorded, id, Number.POSITIVE_INFINITY);
  }

  start(everyMs = sweepEveryMs): void {
    this.relay.start(everyMs);
  }

  sweep(): Promise<void> {
    return this.relay.sweep();
  }

  stop(): Promise<void> {
    return this.relay.stop();
  }

  private async record({ aggregateId, entryId, entry: intent }: OutboxItem<RecordIntent | undefined>): Promise<void> {
    if (this.recorded.has(entryId) || !intent) return;
    // Else each sweep would leave one more of them waiting.
    if (!this.parts.trail.commit.available) throw new Error('records cannot be made durable now');
    await this.parts.trail.committed(intent);
    remember(this.recorded, entryId, Number.POSITIVE_INFINITY);
    this.parts.logger.warn(`${intent.entry.action} of ${aggregateId} had no record: it is recorded now, as ${intent.id}.committed`);
  }

  private async remove(aggregateId: string, ids: string[]): Promise<void> {
    await this.parts.source.removeOwed(aggregateId, ids);
    for (const id of ids) remember(this.recorded, id, this.reads);
  }

  /** One page of the store, each entry on its own: whatever somebody else wrote there keeps no other waiting. */
  private async due(limit: number, after?: string): Promise<OutboxPage<RecordIntent>> {
    for (const [id, since] of this.inHand) if (performance.now() - since >= this.dueAfterMs) this.inHand.delete(id);
    const read = ++this.reads;
    const { items, next } = await this.parts.source.owed(limit, after);
    const due: OutboxItem<RecordIntent>[] = [];
    for (const { aggregateId, entries } of items) {
      const intents = new Map<string, RecordIntent>();
      for (const entry of Array.isArray(entries) ? entries : [entries]) {
        const intent = this.genuine(aggregateId, entry, read, intents);
        if (intent) intents.set(intent.id, intent);
      }
      for (const [entryId, intent] of intents) due.push({ aggregateId, entryId, entry: intent });
    }
    return { items: due, next };
  }

  /** What this service promised of this document, when it is due. What it did not is left where it is, as evidence, and told once. */
  private genuine(aggregateId: string, entry: unknown, read: number, others: ReadonlyMap<string, RecordIntent>): RecordIntent | undefined {
    const digest = createHash('sha256')
      .update(JSON.stringify([aggregateId, entry]))
      .digest('base64url');
    if (this.refused.has(digest)) return undefined;
    try {
      const { id, at, signed } = parsed(entry);
      const lastSeen = this.recorded.get(id);
      if (lastSeen === undefined && !this.isDue(id, at)) return undefined;
      if (others.has(id)) return this.refuse(`${digest} more than once`, aggregateId, 'it is there more than once');
      if (lastSeen !== undefined && lastSeen < read) return this.refuse(`${digest} again`, aggregateId, 'it is there again, and recorded');
      const { aggregateId: of, ...intent } = verifyRecord(typ, signed, this.parts.trusted) as RecordIntent & { aggregateId: string };
      if (of !== aggregateId || intent.id !== id || intent.at !== at) throw new Error(`it is ${intent.id} of ${of}, made at ${intent.at}`);
      return intent;
    } catch (error) {
      return this.refuse(digest, aggregateId, error instanceof Error ? error.message : 'unreadable');
    }
  }

  /** Also one from the future: that is how it would be hidden. */
  private isDue(id: string, at: string): boolean {
    const age = Date.now() - Date.parse(at);
    return !this.inHand.has(id) && !(Math.abs(age) < this.dueAfterMs);
  }

  private refuse(what: string, aggregateId: string, reason: string): undefined {
    if (this.refused.has(what)) return;
    remember(this.refused, what, true);
    this.parts.onTampered(aggregateId, `owed record: ${reason}`);
  }
}

/** @throws Error when it is none */
function parsed(entry: unknown): OwedRecord {
  const { id, at, signed } = (entry ?? {}) as Record<keyof OwedRecord, unknown>;
  if (typeof id !== 'string' || typeof at !== 'string' || typeof signed !== 'string') throw new Error('it is none');
  return { id, at, signed };
}

/** The oldest are forgotten. */
function remember<V>(known: Map<string, V>, id: string, value: V): void {
  known.delete(id);
  known.set(id, value);
  for (const oldest of known.keys()) {
    if (known.size <= remembered) return;
    known.delete(oldest);
  }
}
