import type { consumers } from '@claviger/contracts';
import { DurableConsumer } from '@claviger/messaging';
import type { JsMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import { delivered, type StreamMessage, StreamRange } from './stream-range';

export interface FeedOptions {
  connection: NatsConnection;
  consumer: (typeof consumers)[keyof typeof consumers];
  logger: LoggerService;
  /** Folds one message. Synchronous and without failure: what it cannot read it passes over. */
  fold: (message: StreamMessage) => void;
  /** Resolves when what the folded messages gave rise to is safe. */
  settle: () => Promise<void>;
}

const messagesAtOnce = 200;
/** Requests and keep-alives are served in between. */
const turnMs = 10;

/**
 * Every message of a stream, once and in order, from a position on. The consumer alone cannot give that: it is acknowledged before a snapshot
 * covers the message, and with `ack_policy: all` a message that was delivered to a process that died is passed over by the next acknowledgement.
 * So what lies between our position and what the consumer delivers is read from the stream by sequence. Two processes at once each see all.
 */
export class Feed {
  private readonly range: StreamRange;
  private consumer: DurableConsumer | undefined;
  /** Sequence of the last folded message; set before the start to where the state that is folded into stands. */
  position = 0;
  /** What the consumer had still to deliver when it last gave something. */
  pending = 0;
  state: 'waiting' | 'catching up' | 'following' | 'stopped' = 'waiting';

  constructor(private readonly options: FeedOptions) {
    this.range = new StreamRange(options.connection, options.consumer.stream);
  }

  /** Resolves when it follows the stream. Throws when the broker does not answer; it may then be called again. */
  async start(): Promise<void> {
    const { connection, consumer, logger } = this.options;
    this.state = 'catching up';
    const positions = await this.range.positions(consumer.name);
    if (positions.last < this.position) {
      // The ledger raises the alarm; for us it is another stream.
      logger.error(`${consumer.stream} ends at ${positions.last}, before ${this.position}: it is read from its start`);
      this.position = 0;
    }
    await this.fill(positions.delivered);
    if (this.stopped()) return;
    this.consumer = new DurableConsumer({
      connection,
      stream: consumer.stream,
      consumer: consumer.name,
      ackWaitMs: consumer.ackWaitMs,
      maxMessages: messagesAtOnce,
      logger,
      handle: (messages) => this.handle(messages),
      observe: (_handled, pending) => {
        this.pending = pending;
      },
    });
    await this.consumer.start();
    this.state = 'following';
  }

  async stop(): Promise<void> {
    this.state = 'stopped';
    await this.consumer?.stop();
  }

  private async handle(messages: JsMsg[]): Promise<void> {
    for (const message of messages) {
      if (message.seq <= this.position) continue;
      if (message.seq > this.position + 1) await this.fill(message.seq - 1);
      // A fill that was cut short must not be jumped over.
      if (this.stopped()) return;
      await this.fold(delivered(message));
    }
    await this.options.settle();
  }

  private async fill(to: number): Promise<void> {
    if (to <= this.position) return;
    for await (const message of this.range.read(this.position + 1, to)) {
      if (this.stopped()) return;
      await this.fold(message);
      if (message.seq % messagesAtOnce === 0) await this.options.settle();
    }
    await this.options.settle();
    this.position = Math.max(this.position, to);
  }

  private turnEnds = 0;
  private async fold(message: StreamMessage): Promise<void> {
    this.options.fold(message);
    this.position = message.seq;
    if (performance.now() < this.turnEnds) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.turnEnds = performance.now() + turnMs;
  }

  private stopped(): boolean {
    return this.state === 'stopped';
  }
}
