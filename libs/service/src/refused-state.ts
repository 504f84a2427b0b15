import { keyPattern, type RefusedStateRecord } from '@claviger/contracts';
import type { AuditTrail, RefusedEntry } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import { Fold } from './fold';
import { FoldedRecords } from './folded-records';

/** Names and reasons are others' text. */
const textCharsMax = 200;
/** So many are told apart in one interval, and the intervals grow to a minute: what can be put into a bucket without end does not fill the ledger. */
const kindsMax = 20;
const slowestMs = 60_000;

/**
 * What this process was given as state and did not use, in the log at once and in the ledger within a second. Each reason in each bucket is counted
 * on its own: a flood of one says nothing about another, and does not delay it.
 */
export class RefusedState {
  private readonly records = new Map<string, FoldedRecords<RefusedEntry>>();
  private everyMs: number | undefined | false = false;

  constructor(
    private readonly trail: Pick<AuditTrail, 'append' | 'commit'>,
    private readonly logger: LoggerService,
    /** Who refuses. */
    private readonly holder: string,
  ) {}

  start(everyMs?: number): void {
    this.everyMs = everyMs;
    for (const records of this.records.values()) records.start(everyMs);
  }

  add({ bucket, key, reason, detail }: RefusedEntry): void {
    const refused = { bucket, key: key.slice(0, textCharsMax), reason, detail: detail.slice(0, textCharsMax) };
    if (this.recordsOf(refused).add(refused)) this.logger.warn(`refused: ${bucket}/${refused.key}: ${refused.detail}`);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.records.values()].map((records) => records.stop()));
  }

  private recordsOf({ bucket, reason }: RefusedEntry): FoldedRecords<RefusedEntry> {
    const kind = `${bucket} ${reason}`;
    const known = this.records.get(kind);
    if (known) return known;
    const { trail, logger, holder } = this;
    const several = (event: RefusedEntry) => ({ ...event, key: '(several)' });
    const fold = new Fold<RefusedEntry>(({ key }) => key, several, kindsMax);
    const record = (refused: RefusedEntry, count: number) => ({ kind: 'refused-state', ...fieldsOf(refused), holder, count });
    const records = new FoldedRecords({ fold, record, trail, logger, what: 'refused states', slowestMs });
    this.records.set(kind, records);
    if (this.everyMs !== false) records.start(this.everyMs);
    return records;
  }
}

type Fields = Pick<RefusedStateRecord, 'bucket' | 'key' | 'keyId' | 'reason' | 'detail'>;
const fieldsOf = (refused: RefusedEntry): Fields => ({ ...refused, ...(keyPattern.test(refused.key) ? { keyId: refused.key } : {}) });
