import type { AuditTrail, RecordIntent } from '@claviger/messaging';
import type { OwedRecord, OwedRecords } from '@claviger/service';
import type { LoggerService } from '@nestjs/common';
import { type Delivery, outboxOf } from './delivery';
import type { Key } from './key';
import type { KeyBulk } from './key-bulk';
import type { OutboxEntry } from './key-store';

interface Prepared {
  from: Key;
  to: Key;
  intent: RecordIntent;
  owed: OwedRecord;
  outbox: OutboxEntry[];
}

/**
 * Keys as they are after their rewrap: committed each by one compare-and-set with its record and its messages, as any change is, but many with one write.
 * Nobody waits for the workers: what the key can do is as before, and the old KEK is there until long after they have it.
 */
export class RewrapChanges {
  constructor(
    private readonly parts: {
      bulk: KeyBulk;
      delivery: Delivery;
      owed: OwedRecords;
      trail: AuditTrail;
      logger: LoggerService;
    },
  ) {}

  /** Ids of the keys that were changed: the others were changed by somebody else meanwhile. */
  async make(changes: readonly { from: Key; to: Key }[], jobId: string): Promise<Set<string>> {
    const prepared = await Promise.all(changes.map((change) => this.prepare(change, jobId)));
    const made = await this.parts.bulk.change(prepared);
    const done = prepared.filter(({ to }) => made.has(to.keyId));
    const [delivered, recorded] = await Promise.all([this.deliverAll(done), this.recordAll(done)]);
    await this.parts.bulk.settle([...made], delivered, recorded);
    return made;
  }

  private async prepare({ from, to }: { from: Key; to: Key }, jobId: string): Promise<Prepared> {
    const { keyId, primaryVersion: version, revision } = to;
    const intent = this.parts.trail.intend({ ...who(keyId, version, jobId), revisions: {}, revision });
    return {
      from,
      to,
      intent,
      owed: await this.parts.owed.oweTogether(keyId, intent),
      outbox: outboxOf(to, 'io.claviger.key.changed', intent),
    };
  }

  /** Ids of what was delivered; the sweep finds the rest. */
  private async deliverAll(done: readonly Prepared[]): Promise<string[]> {
    const { delivery, logger } = this.parts;
    const delivered = await Promise.all(
      done.map(async ({ to, outbox }) => {
        try {
          await delivery.putKey(to);
          for (const entry of outbox)
            if (entry.kind === 'event') await delivery.deliver({ aggregateId: to.keyId, entryId: entry.id, entry });
          return outbox.map(({ id }) => id);
        } catch (error) {
          logger.warn(`key ${to.keyId} revision ${to.revision} will be delivered later: ${String(error)}`);
          return [];
        }
      }),
    );
    return delivered.flat();
  }

  private async recordAll(done: readonly Prepared[]): Promise<string[]> {
    const { trail, owed, logger } = this.parts;
    const recorded = await Promise.all(
      done.map(async ({ to, intent, owed: promised }) => {
        try {
          const entry = { ...who(to.keyId, to.primaryVersion, intent.entry.reason as string), outcome: 'success' as const };
          await trail.operation({ ...entry, revisions: { key: to.revision } }, intent.id);
          owed.settled(promised);
          return [promised.id];
        } catch (error) {
          logger.warn(`key ${to.keyId}: that it was rewrapped will be recorded later: ${String(error)}`);
          return [];
        }
      }),
    );
    return recorded.flat();
  }
}

const who = (keyId: string, version: number, jobId: string) => ({
  ...{ action: 'keys:Rewrap', principal: 'key-lifecycle', session: 'job', keyId, version, reason: jobId },
});
