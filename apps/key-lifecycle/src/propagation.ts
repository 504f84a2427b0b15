import { Applied, appliedSubject, type KeysView, limits } from '@claviger/contracts';
import type { KvView } from '@claviger/messaging';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';

export interface Reached {
  confirmed: boolean;
  workers: string[];
  fenced: string[];
}

interface Expectation {
  id: string;
  revision: number;
  acknowledged: Set<string>;
  heard: () => void;
}

/**
 * Follows a change to the workers. Confirmed means: every worker that could have been serving from the bucket has acknowledged the revision
 * (which it does only after its last older success is durable), or has not said "ready" for 2 s and therefore refuses by itself.
 */
export class Propagation {
  private readonly expectations = new Set<Expectation>();
  private subscription: Subscription | undefined;

  constructor(
    private readonly connection: NatsConnection,
    private readonly view: KvView<KeysView>,
  ) {}

  start(): void {
    this.subscription = this.connection.subscribe(appliedSubject('keys'), {
      callback: (error, m) => {
        if (error) return;
        try {
          const { worker, id, revision } = Applied.parse(m.json());
          for (const e of this.expectations)
            if (e.id === id && revision >= e.revision) {
              e.acknowledged.add(worker);
              e.heard();
            }
        } catch {
          // Not an acknowledgement: it confirms nothing.
        }
      },
    });
  }

  stop(): void {
    this.subscription?.unsubscribe();
  }

  /** To be called before the change is published, so that no acknowledgement is missed; `reached` then waits. */
  expect(id: string, revision: number): { reached: (timeoutMs: number) => Promise<Reached>; cancel: () => void } {
    let heard: () => void = () => undefined;
    const expectation: Expectation = { id, revision, acknowledged: new Set(), heard: () => heard() };
    this.expectations.add(expectation);
    return {
      cancel: () => void this.expectations.delete(expectation),
      reached: async (timeoutMs) => {
        const served = new Set<string>();
        const deadline = performance.now() + timeoutMs;
        try {
          for (;;) {
            // Whoever begins to serve meanwhile is waited for as well.
            const live = this.servingWorkers();
            for (const worker of live) served.add(worker);
            const waitingFor = live.filter((w) => !expectation.acknowledged.has(w));
            const outcome = {
              workers: [...expectation.acknowledged].sort(),
              fenced: [...served].filter((w) => !expectation.acknowledged.has(w) && !live.includes(w)).sort(),
            };
            if (waitingFor.length === 0 && this.knowsWhoServes(expectation)) return { confirmed: true, ...outcome };
            if (performance.now() >= deadline) return { confirmed: false, ...outcome };
            await new Promise<void>((resolve) => {
              const timer = setTimeout(resolve, 50);
              heard = () => {
                clearTimeout(timer);
                resolve();
              };
            });
          }
        } finally {
          this.expectations.delete(expectation);
        }
      },
    };
  }

  /**
   * Holders announce themselves in the bucket before they serve. So once our own watch has delivered the change, every holder that could have served
   * from what was before it is known here; and a view that is not fresh does not know who is serving: unknown is not nobody.
   */
  private knowsWhoServes({ id, revision }: Expectation): boolean {
    return this.view.fresh() && (this.view.held(id)?.revision ?? 0) >= revision;
  }

  private servingWorkers(): string[] {
    return this.view.liveHolders().filter((holder) => holder.startsWith('crypto-worker.'));
  }
}

/** Long enough for a silent worker to be fenced. */
export const confirmationWaitMs = limits.viewStaleAfterMs + 1_000;
