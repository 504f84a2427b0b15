import type { KeyObject } from 'node:crypto';
import {
  type AuditTrail,
  type OutboxItem,
  OutboxRelay,
  type OutboxSource,
  type RecordIntent,
  type RecordSigner,
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

export interface OwedRecordSource {
  /** Of changes made before `before` (RFC 3339, UTC). */
  owed(before: string, limit: number): Promise<OutboxItem<OwedRecord>[]>;
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
  /** Longer than any operation takes, so that whoever carries it out can record it. */
  dueAfterMs?: number;
}

const typ = 'claviger-owed-record+jws';
/** A store call, the way to the workers (3 s) and the record (2 s), each at its slowest. */
const slowestOperationMs = 30_000;
const sweepEveryMs = 2_000;

/**
 * No change without its record, also when the process ends between the two. Who does what and why is committed in one write with the change; the
 * operation's own record settles it. What is not settled in time, a `committed` record is written of, by any process of the service.
 */
export class OwedRecords {
  private readonly relay: OutboxRelay<OwedRecord>;
  /** Recorded, not yet taken out of the document. */
  private readonly settled = new Set<string>();
  private readonly refused = new Set<string>();

  constructor(private readonly parts: OwedRecordsParts) {
    const { source } = parts;
    const pending: OutboxSource<OwedRecord> = {
      pending: async (limit) => (await source.owed(this.dueBefore(), limit)).filter(({ entry }) => !this.refused.has(entry.signed)),
      remove: (aggregateId, ids) => source.removeOwed(aggregateId, ids),
    };
    this.relay = new OutboxRelay(pending, (item) => this.record(item), parts.logger, 'owed records');
  }

  /** To be written in one compare-and-set with the change. */
  owe(aggregateId: string, intent: RecordIntent): OwedRecord {
    return { id: intent.id, at: intent.at, signed: signRecord(typ, { aggregateId, ...intent }, this.parts.signer) };
  }

  /** The operation is recorded. Returns at once; what cannot be taken out now, the sweep takes out. */
  settle(aggregateId: string, owed: OwedRecord): void {
    this.settled.add(owed.id);
    void this.relay
      .deliverNow([{ aggregateId, entryId: owed.id, entry: owed }])
      .then(() => this.settled.delete(owed.id))
      .catch(() => undefined);
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

  private async record({ aggregateId, entry }: OutboxItem<OwedRecord>): Promise<void> {
    if (this.settled.has(entry.id)) return;
    const intent = this.verified(aggregateId, entry);
    // Else each sweep would leave one more of them waiting.
    if (!this.parts.trail.commit.available) throw new Error('records cannot be made durable now');
    await this.parts.trail.committed(intent);
    this.parts.logger.warn(`${intent.entry.action} of ${aggregateId} had no record: it is recorded now, as ${intent.id}.committed`);
  }

  private verified(aggregateId: string, { id, signed }: OwedRecord): RecordIntent {
    try {
      const { aggregateId: of, ...intent } = verifyRecord(typ, signed, this.parts.trusted) as RecordIntent & { aggregateId: string };
      if (of !== aggregateId || intent.id !== id) throw new Error(`it is of ${of}`);
      return intent;
    } catch (error) {
      // Left where it is, as evidence, and not looked at again by this process.
      this.refused.add(signed);
      this.parts.onTampered(aggregateId, `owed record: ${error instanceof Error ? error.message : 'unreadable'}`);
      throw error;
    }
  }

  private dueBefore(): string {
    return new Date(Date.now() - (this.parts.dueAfterMs ?? slowestOperationMs)).toISOString();
  }
}
