import type { Alert } from '@claviger/contracts';
import type { OutboxRelay } from '@claviger/messaging';
import type { AlertEvent } from './alert-event';
import type { AlertStore } from './alert-store';

/** Alerts on their way from detection to the store, in order. While the store is away they wait here, and nothing more is folded. */
export class RaisedAlerts {
  private readonly waiting: Alert[] = [];
  private settling: Promise<void> | undefined;
  /** Called with each alert that was not known before. */
  observe: (alert: Alert) => void = () => undefined;

  constructor(
    private readonly store: AlertStore,
    private readonly relay: OutboxRelay<AlertEvent>,
  ) {}

  add(alerts: Alert[]): void {
    this.waiting.push(...alerts);
  }

  /** True when every alert of what was folded is stored. */
  get settled(): boolean {
    return this.waiting.length === 0;
  }

  /** Resolves when all that was added is stored. @throws ProblemError ERR_STORE_UNAVAILABLE; nothing is lost, call it again */
  settle(): Promise<void> {
    if (this.settled) return Promise.resolve();
    this.settling ??= this.storeAll().finally(() => {
      this.settling = undefined;
    });
    return this.settling;
  }

  private async storeAll(): Promise<void> {
    for (let alert = this.waiting[0]; alert; alert = this.waiting[0]) {
      const events = await this.store.raise(alert);
      this.waiting.shift();
      if (events.length === 0) continue;
      this.observe(alert);
      // It is stored: when it cannot be published now, the relay's sweep does it.
      void this.relay.deliverNow(events).catch(() => undefined);
    }
  }
}
