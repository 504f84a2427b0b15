import { internalOperations, type PersonalValue } from '@claviger/contracts';
import { askInternal } from '@claviger/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';

/** Most values of one message (the contract's bound). */
const batchMax = 100;
/** Kept while audit is away; the oldest go first, and what is lost is a clear address, never a record. */
const waitingMax = 10_000;
const retryAfterMs = 2_000;

/** Hands clear values (IP addresses) to audit, which keeps them beside the ledger under retention. In the background: nobody waits for it. */
export class PersonalValues {
  private waiting: PersonalValue[] = [];
  private sending: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(
    private readonly connection: NatsConnection,
    private readonly logger: LoggerService,
  ) {}

  keep(value: PersonalValue): void {
    this.waiting.push(value);
    if (this.waiting.length > waitingMax) this.waiting.shift();
    if (!this.timer) this.schedule(0);
  }

  /** Values that audit has not taken yet. */
  get backlog(): number {
    return this.waiting.length;
  }

  /** One last attempt. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.sending;
    await this.send().catch(() => undefined);
  }

  private schedule(afterMs: number): void {
    this.timer = setTimeout(() => {
      this.sending = this.send().then(
        () => this.next(0),
        (error) => {
          this.logger.warn(`audit took no personal values (${this.waiting.length} wait): ${String(error)}`);
          this.next(retryAfterMs);
        },
      );
    }, afterMs);
  }

  private next(afterMs: number): void {
    this.timer = undefined;
    if (this.waiting.length > 0 && !this.stopped) this.schedule(afterMs);
  }

  private async send(): Promise<void> {
    const values = this.waiting.slice(0, batchMax);
    if (values.length === 0) return;
    await askInternal(this.connection, internalOperations.storePersonal, { values }, { timeoutMs: 2_000 });
    const sent = new Set(values);
    this.waiting = this.waiting.filter((value) => !sent.has(value));
  }
}
