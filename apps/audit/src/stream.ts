import { createHash } from 'node:crypto';
import { streams } from '@claviger/contracts';
import { type JetStreamManager, type JsMsg, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Finding } from './finding';
import type { Head } from './head';
import type { StreamMessage } from './stream-message';

const stream = 'AUDIT' satisfies keyof typeof streams;
const parallelReads = 64;

/** AUDIT by sequence, past the consumer. Everything is asked of the stream's leader: what it does not have is missing, not late. */
export class AuditStream {
  private constructor(private readonly jsm: JetStreamManager) {}

  static async open(connection: NatsConnection): Promise<AuditStream> {
    return new AuditStream(await jetstreamManager(connection));
  }

  /** Is this still the stream that was read up to `head`? The finding when it is not. */
  async changed({ streamSeq, digest }: Pick<Head, 'streamSeq' | 'digest'>): Promise<Finding | undefined> {
    if (streamSeq === 0) return undefined;
    const { state } = await this.jsm.streams.info(stream);
    if (state.last_seq < streamSeq) return { finding: 'stream-shorter', detail: `message ${streamSeq} is not in it` };
    const message = await this.read(streamSeq);
    // Retention may have taken it since.
    if (!message || createHash('sha256').update(message.data).digest().equals(digest)) return undefined;
    return { finding: 'stream-rewritten', detail: `message ${streamSeq}` };
  }

  async firstSeq(): Promise<number> {
    return (await this.jsm.streams.info(stream)).state.first_seq;
  }

  /**
   * Up to which sequence the consumer has delivered, acknowledged or not. What a process took with it when it was killed comes again only
   * after the ack wait.
   */
  async delivered(consumer: string): Promise<number> {
    return (await this.jsm.consumers.info(stream, consumer)).delivered.stream_seq;
  }

  /** Messages `from` to `to`, inclusive, of those that are there. */
  async range(from: number, to: number): Promise<StreamMessage[]> {
    const found: StreamMessage[] = [];
    for (let at = from; at <= to; at += parallelReads) {
      const sequences = Array.from({ length: Math.min(parallelReads, to - at + 1) }, (_, n) => at + n);
      for (const message of await Promise.all(sequences.map((seq) => this.read(seq)))) if (message) found.push(message);
    }
    return found;
  }

  private async read(seq: number): Promise<StreamMessage | undefined> {
    const stored = await this.jsm.streams.getMessage(stream, { seq });
    return stored ? { seq: stored.seq, subject: stored.subject, data: stored.data, time: stored.time.toISOString() } : undefined;
  }
}

/** As delivered by the consumer; the same bytes as `read` gives. */
export const streamMessageOf = (m: JsMsg): StreamMessage => ({
  seq: m.seq,
  subject: m.subject,
  data: m.data,
  time: new Date(Number(m.timestampNanos / 1_000_000n)).toISOString(),
});
