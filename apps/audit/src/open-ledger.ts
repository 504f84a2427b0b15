import { type CloudEvent, ProblemError } from '@claviger/contracts';
import type { LoggerService } from '@nestjs/common';
import type { Head } from './head';
import { LedgerRefused } from './rollback-guard';

export interface OpeningSteps {
  /** Last checkpoint on LEDGER. Asked before the head is loaded, so that a head can never be behind it by being read too early. */
  published: () => Promise<CloudEvent<'io.claviger.ledger.checkpoint'>['data'] | undefined>;
  /** Indexes and the empty head. */
  prepare: () => Promise<Head>;
  /** Throws LedgerRefused. */
  guard: (head: Head, published: CloudEvent<'io.claviger.ledger.checkpoint'>['data'] | undefined) => Promise<void>;
  /** Begins to append: takes over the head, reads what no delivery will bring, starts the consumer. */
  begin: () => Promise<void>;
  /** The newest head that this process knows. */
  head: () => Head | undefined;
  logger: LoggerService;
}

const retryMs = { first: 250, most: 5_000 };

/**
 * The ledger as a whole: being opened, open, or refused. The process is up in each of them; it waits for a store or broker that is away,
 * and it never opens a ledger that does not hold what was published, whatever the reason.
 */
export class OpenLedger {
  private state: 'opening' | 'open' | 'refused' | 'stopped' = 'opening';
  private why = 'the ledger is being opened';
  private timer: NodeJS.Timeout | undefined;
  private attempt: Promise<void> | undefined;

  constructor(private readonly steps: OpeningSteps) {}

  start(): void {
    this.attempt = this.open(retryMs.first);
  }

  async stop(): Promise<void> {
    if (this.state !== 'refused') this.state = 'stopped';
    clearTimeout(this.timer);
    await this.attempt;
  }

  /** For health. */
  get condition(): { ok: boolean; detail: string } {
    return { ok: this.state === 'open', detail: this.why };
  }

  /** Undefined while the store must be asked. Throws a ProblemError while the ledger is not open. */
  head(): Head | undefined {
    this.assertOpen();
    return this.steps.head();
  }

  assertOpen(): void {
    if (this.state === 'open') return;
    if (this.state === 'refused') throw new ProblemError('ERR_STATE_STALE', 'The ledger in the store is not the one that was published.');
    throw new ProblemError('ERR_STORE_UNAVAILABLE', 'The ledger is not open yet.');
  }

  private async open(delayMs: number): Promise<void> {
    const { published, prepare, guard, begin, logger } = this.steps;
    try {
      const last = await published();
      const head = await prepare();
      await guard(head, last);
      await begin();
      if (this.state !== 'opening') return;
      this.state = 'open';
      this.why = 'messages are appended and signed';
      logger.log(`the ledger is open at ${head.edge.size} leaves, message ${head.streamSeq}`);
    } catch (error) {
      if (error instanceof LedgerRefused) {
        this.state = 'refused';
        this.why = error.message;
        logger.error(error.message);
      } else if (this.state === 'opening') {
        this.why = `cannot be opened yet: ${error instanceof Error ? error.message : String(error)}`;
        logger.warn(`the ledger ${this.why}`);
        this.timer = setTimeout(() => (this.attempt = this.open(Math.min(retryMs.most, delayMs * 2))), delayMs);
      }
    }
  }
}
