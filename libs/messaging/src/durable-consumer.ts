import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
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
  /** Most messages handed over at once; about three times as many are in memory at most. */
  maxMessages: number;
  ackWaitMs: number;
  logger: LoggerService;
  /** Handles messages in stream order; must be idempotent by stream sequence. Resolves when they may be acknowledged. */
  handle: (messages: JsMsg[]) => Promise<void>;
  /** After each handled batch: what is still in the stream for this consumer. */
  observe?: (handled: number, pending: number) => void;
}

const retryMsMax = 10_000;
const reopenMsMax = 5_000;

/**
 * A pre-made durable pull consumer (`ack_policy: all`) whose messages are handled in order, as many at once as have arrived meanwhile.
 * Every settlement is decided here: success acknowledges up to the last message; a failure is retried in place with back-off, without
 * letting a later message overtake; a poison message is copied to DEAD and passed over.
 *
 * An acknowledgement covers everything before it, also what was delivered to a process that died with it in hand. A handler that must miss
 * nothing looks for gaps in the sequence and reads them from the stream.
 */
export class DurableConsumer {
  private messages: ConsumerMessages | undefined;
  private buffer: JsMsg[] = [];
  /** Sequence of the last message taken in: what comes again while it is still being handled is not handled twice. */
  private takenIn = 0;
  private wake: (() => void) | undefined;
  private room: (() => void) | undefined;
  private readonly ending = new AbortController();
  private running: Promise<void> | undefined;

  constructor(private readonly options: DurableConsumerOptions) {}

  async start(): Promise<void> {
    this.messages = await this.open();
    this.running = this.run();
    void this.receive();
  }

  async stop(): Promise<void> {
    this.ending.abort();
    this.messages?.stop();
    this.wake?.();
    this.room?.();
    await this.running;
  }

  private async open(): Promise<ConsumerMessages> {
    const { connection, stream, consumer, maxMessages } = this.options;
    const bound = await jetstream(connection).consumers.get(stream, consumer);
    return bound.consume({ max_messages: maxMessages, abort_on_missing_resource: true });
  }

  /** Pulls no faster than messages are handled. What ends is opened again. */
  private async receive(): Promise<void> {
    const { connection, stream, consumer, logger } = this.options;
    for (let attempt = 0; !this.stopped; ) {
      try {
        const messages = this.messages ?? (await this.open());
        this.messages = messages;
        if (this.stopped) messages.stop();
        for await (const m of messages) {
          attempt = 0;
          await this.take(m);
        }
      } catch (error) {
        logger.warn(`${stream}/${consumer}: ${String(error)}`);
      }
      this.messages = undefined;
      // It may be another stream when it is there again.
      this.takenIn = 0;
      if (this.stopped || connection.isClosed()) return;
      logger.warn(`consumer ${stream}/${consumer} ended; opening it again`);
      await this.pause(Math.min(reopenMsMax, 200 * 2 ** attempt++));
    }
  }

  private async take(m: JsMsg): Promise<void> {
    if (m.seq <= this.takenIn) return;
    this.takenIn = m.seq;
    this.buffer.push(m);
    this.wake?.();
    if (this.buffer.length >= this.options.maxMessages && !this.stopped) await new Promise<void>((resolve) => (this.room = resolve));
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      if (this.buffer.length === 0) await new Promise<void>((resolve) => (this.wake = resolve));
      this.wake = undefined;
      // What arrived together is handled together.
      await nextTurn();
      const batch = this.buffer.splice(0, this.options.maxMessages);
      this.room?.();
      if (batch.length > 0) await this.settle(batch);
    }
  }

  private async settle(batch: JsMsg[]): Promise<void> {
    // Each of them: the broker counts the ack wait by message.
    const { connection, ackWaitMs } = this.options;
    const keepAlive = setInterval(() => {
      if (!connection.isClosed()) for (const m of [...batch, ...this.buffer]) m.working();
    }, ackWaitMs / 3);
    try {
      if (!(await this.handled(batch))) return;
      const last = batch.at(-1) as JsMsg;
      // On a closed connection nothing can be settled: whoever opens the next one is given it again.
      if (!connection.isClosed()) last.ack();
      this.options.observe?.(batch.length, last.info.pending);
    } finally {
      clearInterval(keepAlive);
    }
  }

  /** False when this process ends before they are. */
  private async handled(batch: JsMsg[]): Promise<boolean> {
    const { stream, consumer, logger } = this.options;
    let rest = batch;
    for (let attempt = 0; !this.stopped; ) {
      try {
        if (rest.length > 0) await this.options.handle(rest);
        return true;
      } catch (error) {
        const poison = error instanceof PoisonMessage ? rest.find((m) => m.seq === error.streamSeq) : undefined;
        if (poison && (await this.buried(poison, (error as PoisonMessage).message))) {
          rest = rest.filter((m) => m !== poison);
          continue;
        }
        const delayMs = Math.min(retryMsMax, 100 * 2 ** attempt++);
        logger.warn(
          `${stream}/${consumer}: message ${rest[0]?.seq} and ${rest.length - 1} more will be tried again in ${delayMs} ms: ${String(error)}`,
        );
        await this.pause(delayMs);
      }
    }
    return false;
  }

  /** False when DEAD cannot be reached: then the message stays where it is. */
  private async buried(message: JsMsg, reason: string): Promise<boolean> {
    const { stream, consumer, connection, logger } = this.options;
    const h = headers();
    h.set('Claviger-Dead-Reason', reason.replaceAll(/[^\x20-\x7e]/g, ' ').slice(0, 200));
    h.set('Claviger-Dead-Sequence', String(message.seq));
    try {
      await jetstream(connection).publish(deadSubject(stream, consumer), message.data, {
        headers: h,
        msgID: `${stream}.${consumer}.${message.seq}`,
      });
    } catch (error) {
      logger.warn(`${stream}/${consumer}: message ${message.seq} cannot be put to DEAD: ${String(error)}`);
      return false;
    }
    logger.error(`${stream}/${consumer}: message ${message.seq} went to DEAD: ${reason}`);
    return true;
  }

  private async pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.ending.signal }).catch(() => undefined);
  }

  private get stopped(): boolean {
    return this.ending.signal.aborted;
  }
}
