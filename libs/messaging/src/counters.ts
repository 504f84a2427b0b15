import type { CounterStreamName } from '@claviger/contracts';
import { jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';

/** JetStream answers a read of several subjects with at most so many messages, and refuses it when there are more. */
export const countersReadMax = 1_024;
const timeoutMs = 2_000;

/**
 * Counters that all processes share: JetStream adds what is published under a subject to what is there (ADR-49 of NATS: `Nats-Incr`), on disk before it answers. An answer that does not come says
 * nothing: it may have been added.
 */
export class Counters {
  constructor(private readonly connection: NatsConnection) {}

  /** Adds; resolves with what it is now. Not repeated: whoever repeats it may add it twice. */
  async add(subject: string, count: number): Promise<number> {
    const increment = headers();
    increment.set('Nats-Incr', `+${count}`);
    const reply = await this.connection.request(subject, '', { headers: increment, timeout: timeoutMs });
    const { val, error } = reply.json<{ val?: string; error?: { description?: string } }>();
    const value = Number(val);
    if (val === undefined || !Number.isSafeInteger(value))
      throw new Error(`the counter was not changed: ${error?.description ?? 'no value in the answer'}`);
    return value;
  }

  /** 0 where nothing was counted yet. A copy in a cluster may be a moment old, and then too low. */
  async read(stream: CounterStreamName, subject: string): Promise<number> {
    return (await this.readAll(stream, [subject]))?.get(subject) ?? 0;
  }

  /** All counters that match the filters, by subject; undefined when there are more than `countersReadMax`. */
  async readAll(stream: CounterStreamName, filters: string[]): Promise<Map<string, number> | undefined> {
    const { direct } = await jetstreamManager(this.connection, { checkAPI: false, timeout: timeoutMs });
    const found = new Map<string, number>();
    try {
      for await (const message of await direct.getLastMessagesFor(stream, { multi_last: filters }))
        found.set(message.subject, Number(message.json<{ val: string }>().val));
    } catch (error) {
      // The statuses of a direct read (ADR-31 of NATS): none matched, too many did.
      const { code } = error as { code?: unknown };
      if (code === 413) return undefined;
      if (code !== 404) throw error;
    }
    return found;
  }
}
