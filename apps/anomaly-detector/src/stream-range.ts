import type { StreamName } from '@claviger/contracts';
import { type JetStreamManager, type JsMsg, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

/** A message of a stream, however it was got. */
export interface StreamMessage {
  seq: number;
  data: Uint8Array;
  /** When the broker stored it. */
  storedMs: number;
}

export const delivered = (m: JsMsg): StreamMessage => ({ seq: m.seq, data: m.data, storedMs: Number(m.timestampNanos / 1_000_000n) });

const parallelReads = 64;

/** A stream by sequence, past its consumer. The stream's leader is asked: what it does not have is gone, and not late. */
export class StreamRange {
  private manager: Promise<JetStreamManager> | undefined;

  constructor(
    private readonly connection: NatsConnection,
    private readonly stream: StreamName,
  ) {}

  /** Sequence of the newest message, and of the newest one that the consumer has delivered to anybody. */
  async positions(consumer: string): Promise<{ last: number; delivered: number }> {
    const jsm = await this.open();
    const [{ state }, info] = await Promise.all([jsm.streams.info(this.stream), jsm.consumers.info(this.stream, consumer)]);
    return { last: state.last_seq, delivered: info.delivered.stream_seq };
  }

  /** Messages `from` to `to`, inclusive and in order, of those that are there. */
  async *read(from: number, to: number): AsyncGenerator<StreamMessage> {
    const jsm = await this.open();
    for (let at = from; at <= to; at += parallelReads) {
      const sequences = Array.from({ length: Math.min(parallelReads, to - at + 1) }, (_, n) => at + n);
      for (const m of await Promise.all(sequences.map((seq) => jsm.streams.getMessage(this.stream, { seq }))))
        if (m) yield { seq: m.seq, data: m.data, storedMs: m.time.getTime() };
    }
  }

  private open(): Promise<JetStreamManager> {
    this.manager ??= jetstreamManager(this.connection).catch((error) => {
      this.manager = undefined;
      throw error;
    });
    return this.manager;
  }
}
