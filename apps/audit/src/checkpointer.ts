import { encodeCheckpoint, type NoteSigner, signNote } from '@claviger/ledger';
import type { LoggerService } from '@nestjs/common';
import { CheckpointStore, type StoredCheckpoint } from './checkpoint-store';
import type { Head } from './head';
import { LedgerEvents } from './ledger-events';

export interface CheckpointerOptions {
  origin: string;
  signer: NoteSigner;
  store: CheckpointStore;
  events: Pick<LedgerEvents, 'checkpoint'>;
  /** Shortest time between two checkpoints. */
  everyMs: number;
  logger: LoggerService;
}

/**
 * Signs committed heads, always the newest, at most one every `everyMs`; what is committed is signed that much later at the latest, and
 * nothing is signed while nothing happens. It is told of a head only after the compare-and-set has moved it, so that no signature is ever
 * made of a tree that is not in the store.
 */
export class Checkpointer {
  private unsigned: Head | undefined;
  private newest: StoredCheckpoint | undefined;
  private failure: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  private signing: Promise<void> | undefined;
  private lastAt = Number.NEGATIVE_INFINITY;
  private stopped = false;

  constructor(private readonly options: CheckpointerOptions) {}

  /** The newest checkpoint that this process signed. */
  get latest(): StoredCheckpoint | undefined {
    return this.newest;
  }

  /** A committed head whose checkpoint is due, and what keeps it from being signed. */
  get due(): { size: number; failure: string | undefined } | undefined {
    return this.unsigned && { size: this.unsigned.edge.size, failure: this.failure };
  }

  committed(head: Head): void {
    if (head.edge.size === this.newest?.size) return;
    this.unsigned = head;
    this.schedule(this.options.everyMs - (performance.now() - this.lastAt));
  }

  /** Signs what is due without waiting. Resolves when it is published, or logs why it is not. */
  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.signing;
    await this.sign();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.flush();
  }

  private schedule(delayMs: number): void {
    if (this.timer || this.signing || this.stopped) return;
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        this.signing = this.sign().finally(() => {
          this.signing = undefined;
          if (this.unsigned) this.schedule(this.options.everyMs);
        });
      },
      Math.max(0, delayMs),
    );
  }

  private async sign(): Promise<void> {
    const head = this.unsigned;
    if (!head) return;
    const { origin, signer, store, events, logger } = this.options;
    this.lastAt = performance.now();
    try {
      const { size } = head.edge;
      const note = await signNote(encodeCheckpoint({ origin, size, root: head.root }), [signer]);
      const checkpoint = { size, note, root: head.root.toString('base64url'), streamSeq: head.streamSeq, findings: head.findings };
      await store.add(checkpoint, new Date());
      await events.checkpoint(checkpoint);
      this.newest = checkpoint;
      if (this.unsigned === head) this.unsigned = undefined;
      this.failure = undefined;
    } catch (error) {
      this.failure = String(error);
      logger.warn(`the checkpoint of ${head.edge.size} leaves will be tried again: ${this.failure}`);
    }
  }
}
