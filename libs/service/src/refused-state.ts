import { keyPattern, type RefusedStateRecord, type StateRefusal } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import { Fold } from './fold';
import { FoldedRecords } from './folded-records';

export interface Refused {
  /** A bucket of the broker, or `store`. */
  bucket: string;
  key: string;
  reason: StateRefusal;
  detail: string;
}

/** Names and reasons are others' text. */
const textCharsMax = 200;
/** So many are told apart in one interval, and the intervals grow to a minute: what can be put into a bucket without end does not fill the ledger. */
const kindsMax = 20;
const slowestMs = 60_000;

/** What this process was given as state and did not use, in the log at once and in the ledger within a second. */
export class RefusedState {
  private readonly records: FoldedRecords<Refused>;

  constructor(
    trail: Pick<AuditTrail, 'append'>,
    private readonly logger: LoggerService,
    /** Who refuses. */
    holder: string,
  ) {
    const fold = new Fold<Refused>(
      ({ bucket, key, reason }) => JSON.stringify([bucket, key, reason]),
      ({ bucket, reason, detail }) => ({ bucket, reason, detail, key: '(several)' }),
      kindsMax,
    );
    const record = (refused: Refused, count: number) => ({ kind: 'refused-state', ...fieldsOf(refused), holder, count });
    this.records = new FoldedRecords({ fold, record, trail, logger, what: 'refused states', slowestMs });
  }

  start(everyMs?: number): void {
    this.records.start(everyMs);
  }

  add({ bucket, key, reason, detail }: Refused): void {
    const refused = { bucket, key: key.slice(0, textCharsMax), reason, detail: detail.slice(0, textCharsMax) };
    this.logger.warn(`refused: ${bucket}/${refused.key}: ${refused.detail}`);
    this.records.add(refused);
  }

  stop(): Promise<void> {
    return this.records.stop();
  }
}

type Fields = Pick<RefusedStateRecord, 'bucket' | 'key' | 'keyId' | 'reason' | 'detail'>;
const fieldsOf = (refused: Refused): Fields => ({ ...refused, ...(keyPattern.test(refused.key) ? { keyId: refused.key } : {}) });
