import { deadSubject, type StreamName } from '@claviger/contracts';
import { type ConsumerMessages, type JsMsg, jetstream } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';

/** Thrown by a handler for a message that no retry can help: it goes to DEAD and the rest of the batch is handled again without it. */
export class PoisonMessage extends Error {
  constructor(
    readonly streamSeq: number,
    reason: string,
  ) {
    super(reason);
    this.name = 'PoisonMessage';
  }
}

export interface DurableConsumerOptions {
  connection: NatsConnection;
  stream: StreamName;
  consumer: string;
  /** Most messages handed over at once. */
  maxMessages: number;
  ackWaitMs: number;
  logger: LoggerService;
  /** Handles messages in stream order; must be idempotent by stream sequence. Resolves when they may be acknowledged. */
  handle: (messages: JsMsg[]) => Promise<void>;
  /** After each handled batch: what is still in the stream for this consumer. */
  observe?: (handled: number, pending: number) => void;
}

/**
 * A pre-made durable pull consumer (`ack_policy: all`) whose messages are handled in order, as many at once as have arrived meanwhile.
 * Every settlement is decided here: success acknowledges up to the last message; a failure is retried in place with back-off, without
 * letting a later message overtake; a poison message is copied to DEAD and passed over. A redelivery happens only after a crash.
 */
export class DurableConsumer {
  private messages: ConsumerMessages | undefined;
  private buffer: JsMsg[] = [];
  private wake: (() => void) | undefined;
  private running: Promise<void> | undefined;
  private stopped = false;

  constructor(private readonly options: DurableConsumerOptions) {}

  async start(): Promise<void> {
    await this.open();
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.messages?.stop();
    this.wake?.();
    await this.running;
  }

  private async open(): Promise<void> {
    const { connection, stream, consumer, maxMessages, logger } = this.options;
    const bound = await jetstream(connection).consumers.get(stream, consumer);
    const messages = await bound.consume({
      max_messages: maxMessages,
      callback: (m) => {
        this.buffer.push(m);
        this.wake?.();
      },
    });
    this.messages = messages;
    void messages.closed().then(async () => {
      for (let attempt = 0; !this.stopped && !connection.isClosed(); attempt++) {
        logger.warn(`consumer ${stream}/${consumer} ended; opening it again`);
        await new Promise((resolve) => setTimeout(resolve, Math.min(5_000, 200 * 2 ** attempt)));
        if (
          await this.open().then(
            () => true,
            () => false,
          )
        )
          return;
      }
    });
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      if (this.buffer.length === 0) await new Promise<void>((resolve) => (this.wake = resolve));
      this.wake = undefined;
      const batch = this.buffer.splice(0, this.options.maxMessages);
      if (batch.length > 0) await this.settle(batch);
    }
  }

  private async settle(batch: JsMsg[]): Promise<void> {
    const { stream, consumer, logger, ackWaitMs } = this.options;
    const last = batch.at(-1) as JsMsg;
    const keepAlive = setInterval(() => last.working(), ackWaitMs / 3);
    let rest = batch;
    try {
      for (let attempt = 0; rest.length > 0 && !this.stopped; ) {
        try {
          await this.options.handle(rest);
          break;
        } catch (error) {
          if (error instanceof PoisonMessage) {
            const poison = rest.find((m) => m.seq === error.streamSeq);
            if (!poison) throw error;
            logger.error(`${stream}/${consumer}: message ${error.streamSeq} goes to DEAD: ${error.message}`);
            await this.bury(poison, error.message);
            rest = rest.filter((m) => m !== poison);
            continue;
          }
          const delayMs = Math.min(10_000, 100 * 2 ** attempt++);
          logger.warn(
            `${stream}/${consumer}: message ${rest[0]?.seq} and ${rest.length - 1} more will be tried again in ${delayMs} ms: ${String(error)}`,
          );
          await new Promise((resolve) => setTimeout(resolve, delayMs));
        }
      }
      if (!this.stopped || rest.length === 0) last.ack();
      this.options.observe?.(batch.length, last.info.pending);
    } finally {
      clearInterval(keepAlive);
    }
  }

  private async bury(message: JsMsg, reason: string): Promise<void> {
    const { stream, consumer, connection } = this.options;
    const h = headers();
    h.set('Claviger-Dead-Reason', reason.replaceAll(/[^\x20-\x7e]/g, ' ').slice(0, 200));
    h.set('Claviger-Dead-Sequence', String(message.seq));
    await jetstream(connection).publish(deadSubject(stream, consumer), message.data, {
      headers: h,
      msgID: `${stream}.${consumer}.${message.seq}`,
    });
  }
}
