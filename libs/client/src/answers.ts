import { errors, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { newSessionId } from './session-id';

interface Waiting {
  subject: string;
  timer: NodeJS.Timeout;
  resolve: (answer: Msg) => void;
  reject: (error: Error) => void;
}

/**
 * Requests and their answers on one connection, told apart by the last token of the reply subject. nats.js can do that too, but makes an error
 * object, stack included, for each request that is answered: a seventh of a busy caller's time.
 */
export class Answers {
  private readonly waiting = new Map<string, Waiting>();
  private readonly inbox: string;
  private count = 0;

  constructor(
    private readonly connection: NatsConnection,
    inboxPrefix: string,
  ) {
    this.inbox = `${inboxPrefix}.${newSessionId()}.`;
    connection.subscribe(`${this.inbox}*`, { callback: (error, m) => this.onAnswer(error, m) });
    void this.followRefusals();
    void connection.closed().then(() => {
      for (const token of [...this.waiting.keys()]) this.take(token)?.reject(new errors.ClosedConnectionError());
    });
  }

  /** Rejects with nats.js's errors: NoRespondersError, TimeoutError, PermissionViolationError, ClosedConnectionError. */
  request(subject: string, body: string, { timeout, headers }: { timeout: number; headers?: MsgHdrs }): Promise<Msg> {
    const token = (this.count++).toString(36);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.take(token)?.reject(new errors.TimeoutError()), timeout);
      this.waiting.set(token, { subject, timer, resolve, reject });
      try {
        this.connection.publish(subject, body, { reply: this.inbox + token, ...(headers ? { headers } : {}) });
      } catch (error) {
        this.take(token)?.reject(error as Error);
      }
    });
  }

  private onAnswer(error: Error | null, m: Msg): void {
    if (error) return;
    const waiting = this.take(m.subject.slice(this.inbox.length));
    if (!waiting) return;
    try {
      // The broker's own answer when nobody listens: 503 without a body. A malformed header throws on access.
      if (m.data.length === 0 && m.headers?.code === 503) waiting.reject(new errors.NoRespondersError(waiting.subject));
      else waiting.resolve(m);
    } catch (malformed) {
      waiting.reject(malformed as Error);
    }
  }

  /** The broker refuses a publish by a message of its own, which names the subject only. */
  private async followRefusals(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type !== 'error' || !(status.error instanceof errors.PermissionViolationError)) continue;
      const { operation, subject } = status.error;
      for (const [token, waiting] of this.waiting)
        if (operation === 'publish' && waiting.subject === subject) this.take(token)?.reject(status.error);
    }
  }

  private take(token: string): Waiting | undefined {
    const waiting = this.waiting.get(token);
    this.waiting.delete(token);
    clearTimeout(waiting?.timer);
    return waiting;
  }
}
