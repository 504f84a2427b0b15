import { auditSubject, type OperationRecord } from '@claviger/contracts';
import { finishBatch, genesisPrev, sealBatch } from '@claviger/ledger';
import { type JetStreamClient, jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

/** Writes batches as a crypto-worker does. Signatures are the ledger's concern; here they are zeros. */
export class AuditWriter {
  private readonly js: JetStreamClient;
  private records = 0;
  private seq = 0;

  constructor(connection: NatsConnection) {
    this.js = jetstream(connection);
  }

  /** `count` uses within a second from `atMs` on, as batches of at most `batchRecords`. Gives the stream sequence of the last. */
  async uses(atMs: number, count: number, more: Partial<OperationRecord> = {}, batchRecords = 100): Promise<number> {
    const lines = Array.from({ length: count }, (_, n) =>
      JSON.stringify({
        kind: 'operation',
        id: `i.${this.records++}`,
        time: new Date(atMs + Math.floor((n * 1_000) / count)).toISOString(),
        service: 'crypto-worker',
        action: 'crypto:Decrypt',
        principal: 'payments-api',
        session: 's'.repeat(22),
        outcome: 'success',
        revisions: {},
        ...more,
      }),
    );
    let streamSeq = 0;
    for (let from = 0; from < count; from += batchRecords) {
      const place = { service: 'crypto-worker', worker: 'w-test', epoch: 'e1', seq: this.seq++, prev: genesisPrev() };
      const batch = finishBatch(sealBatch(place, lines.slice(from, from + batchRecords)), Buffer.alloc(64));
      ({ seq: streamSeq } = await this.js.publish(auditSubject('crypto-worker', 'w-test'), batch));
    }
    return streamSeq;
  }
}
