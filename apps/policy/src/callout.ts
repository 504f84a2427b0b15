import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import type { LoggerService } from '@nestjs/common';
import { metrics } from '@opentelemetry/api';
import type { Admission } from './admission';
import type { CalloutRequest, CalloutWire } from './callout-wire';
import { Refused } from './refusal';
import type { RefusedAttempts } from './refused-attempts';

export const calloutSubject = '$SYS.REQ.USER.AUTH';
/** More than these at once are refused at once: each costs a signature check, a KV write and a place in an audit batch. */
const inFlightMax = 256;

/**
 * The broker's question "may this connection come in?", answered by any replica (queue group). Fails closed: no answer within the broker's
 * `authorization.timeout` is a no. Nothing that a client sends may end the read loop, so everything happens inside one try.
 */
export class Callout {
  private subscription: Subscription | undefined;
  private readonly busy = new Set<Promise<void>>();
  private readonly seconds = metrics.getMeter('claviger').createHistogram('claviger_callout_seconds', {
    description: 'From the question of the broker to its answer, by outcome',
    advice: { explicitBucketBoundaries: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5] },
  });

  constructor(
    private readonly connection: NatsConnection,
    private readonly wire: CalloutWire,
    private readonly admission: Pick<Admission, 'admit'>,
    private readonly attempts: Pick<RefusedAttempts, 'add'>,
    private readonly logger: LoggerService,
  ) {}

  start(): void {
    this.subscription = this.connection.subscribe(calloutSubject, {
      queue: 'policy',
      callback: (error, message) => {
        if (error) return this.logger.error(`callout: ${error.message}`);
        const answered: Promise<void> = this.answer(message).finally(() => this.busy.delete(answered));
        this.busy.add(answered);
      },
    });
  }

  get subscribed(): boolean {
    return this.subscription !== undefined && !this.subscription.isClosed();
  }

  /** Takes no new question and answers those in flight. */
  async stop(): Promise<void> {
    if (this.subscription && !this.connection.isClosed()) await this.subscription.drain();
    await Promise.allSettled(this.busy);
  }

  private async answer(message: Msg): Promise<void> {
    const started = performance.now();
    let outcome = 'admitted';
    try {
      const request = this.wire.read(message);
      try {
        if (this.busy.size > inFlightMax) throw new Refused('overloaded');
        const { principal, permissions, expiresAtMs } = await this.admission.admit(request);
        await this.wire.admit(message, request, { name: principal, permissions, expiresAtMs });
      } catch (error) {
        outcome = await this.refuse(message, request, error);
      }
    } catch (error) {
      outcome = error instanceof Refused ? error.reason : 'failed';
      this.logger.error(`callout: no answer could be given: ${String(error)}`);
    } finally {
      this.seconds.record((performance.now() - started) / 1_000, { outcome });
    }
  }

  private async refuse(message: Msg, request: CalloutRequest, error: unknown): Promise<string> {
    const refusal = error instanceof Refused ? error : new Refused('failed', undefined, { cause: error });
    if (refusal.reason === 'failed') this.logger.error('callout: admission failed', error instanceof Error ? error.stack : String(error));
    this.attempts.add(refusal, request);
    await this.wire.refuse(message, request, refusal.reason);
    return refusal.reason;
  }
}
