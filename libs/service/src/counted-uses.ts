import {
  type Allowance,
  drawSize,
  drew,
  giveBack,
  isExhausted,
  isLow,
  learnReturned,
  left,
  newAllowance,
  take,
  untake,
} from '@claviger/authz';
import type { CounterStreamName, QuotaSubject, QuotaWindow } from '@claviger/contracts';
import type { Counters } from '@claviger/messaging';
import { LRUCache } from 'lru-cache';

/** Something that may happen `limit` times, over all processes: in each window, or ever. */
export interface Count {
  /** Its name in this process. */
  readonly key: string;
  /** Id of the quota or grant, and what is counted apart, for whoever reads of it. */
  readonly of: { id: string; window?: QuotaWindow } & QuotaSubject;
  readonly limit: number;
  readonly stream: CounterStreamName;
  /** Undefined: ever. */
  readonly windowMs: number | undefined;
  /** Subject of its counters in the window of this number; 0 without windows. */
  readonly counter: (window: number) => string;
}

export type Availability = 'held' | 'used-up' | 'unknown';

export interface CountedUsesOptions {
  counters: Pick<Counters, 'add' | 'read'>;
  /** The broker's time, in milliseconds since 1970-01-01 UTC: it says which window is now. */
  nowMs: () => number;
  /** Processes of this service that live, this one included. */
  workers: () => number;
  /** A counter was found lower than it must be: nothing more of it is let through here. */
  onPutBack: (count: Count, window: number) => void;
  onFailure: (what: string, error: unknown) => void;
  /** Monotonic milliseconds. */
  monotonic?: () => number;
  /** So many counts in windows are held at once. */
  countsMax?: number;
}

/** A count in one window. */
interface Period {
  readonly window: number;
  allowance: Allowance;
  asking: Promise<void> | undefined;
  wait: number;
  failedAt: number;
  readAt: number;
  usedAt: number;
  putBack: boolean;
}
interface Held {
  count: Count;
  period: Period;
  next: Period | undefined;
}

/** Of those that are not used now, some are forgotten: what was drawn for them is lost, which errs on the safe side. */
const defaultCountsMax = 100_000;
/** A counter that did not answer is asked again after so long: requests that come meanwhile must not each ask. */
const retryMs = 250;
/** What is used up stays so, but for what others give back: how often that is looked at. */
const rereadMs = 500;
/** So often a request may find that others were faster, before it is told that all is used up. */
const drawsMax = 3;
/** What was not used for so long goes back to the others. Not of short windows: by then they are over. */
const idleMs = 2_000;
const tickMs = 1_000;
const shortWindowMs = 10_000;
/** The first block of the next window is drawn in this share of the one before. */
const early = 0.9;

/** Counts over all processes, from blocks that this one drew from counters in the broker: no round trip for each use. */
export class CountedUses {
  private readonly windowed: LRUCache<string, Held>;
  /** Without windows: never forgotten while the bundle has the grant, since nothing begins anew. */
  private readonly ever = new Map<string, Held>();
  /** By count: the window whose counter was put back. Kept when the rest is forgotten. */
  private readonly putBack = new Map<string, { window: number; windowMs: number | undefined }>();
  private readonly monotonic: () => number;
  private timer: NodeJS.Timeout | undefined;
  private workers = 1;

  constructor(private readonly options: CountedUsesOptions) {
    this.monotonic = options.monotonic ?? (() => performance.now());
    this.windowed = new LRUCache({ max: options.countsMax ?? defaultCountsMax });
  }

  start(): void {
    this.timer = setInterval(() => this.tick(), tickMs);
    this.timer.unref();
  }

  /** Gives back all that is held; resolves when that is known, or could not be. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    const held = this.all().filter(({ count }) => returnable(count));
    const leave = async (count: Count, period: Period | undefined) => {
      if (!period) return;
      // What is on its way goes back as well.
      await period.asking;
      await this.return(count, period);
    };
    await Promise.all(held.flatMap(({ count, period, next }) => [leave(count, period), leave(count, next)]));
  }

  /** Whether one may be taken now; a promise where that has to be asked: then ask this again when it resolves. Never rejects. */
  availability(count: Count, nowMs: number): Availability | Promise<void> {
    const { period } = this.at(count, nowMs);
    const now = this.monotonic();
    period.usedAt = now;
    if (left(period.allowance, count.limit) > 0) return 'held';
    if (period.putBack) return 'unknown';
    if (!period.asking) {
      if (now - period.failedAt < retryMs) return 'unknown';
      if (isExhausted(period.allowance, count.limit) && (!returnable(count) || now - period.readAt < rereadMs)) return 'used-up';
    }
    period.wait++;
    return this.ask(count, period);
  }

  /** Takes one; undefined when none is held. Else, how to take that back when it was used for nothing. */
  take(count: Count, nowMs: number): (() => void) | undefined {
    const held = this.at(count, nowMs);
    const { allowance } = held.period;
    const taken = take(allowance, count.limit);
    if (!taken) return undefined;
    if (isLow(allowance, count.limit, this.workers)) void this.ask(count, held.period);
    if (count.windowMs !== undefined && !held.next && allowance.size > 1) this.lookAhead(held, count.windowMs, nowMs);
    return () => untake(allowance, taken);
  }

  /** Forgets counts without windows but for these, and gives back what was drawn for them. */
  keep(keys: ReadonlySet<string>): void {
    for (const [key, { count, period }] of this.ever) {
      if (keys.has(key) || period.asking) continue;
      this.ever.delete(key);
      void this.return(count, period);
    }
  }

  /** The broker's time, in milliseconds since 1970-01-01 UTC: it says which window is now. */
  nowMs(): number {
    return this.options.nowMs();
  }

  private lookAhead(held: Held, windowMs: number, nowMs: number): void {
    const { count, period } = held;
    const next = period.window + 1;
    if (nowMs < (next - (1 - early)) * windowMs) return;
    held.next = this.begin(count, next, carried(period, this.monotonic()));
    void this.ask(count, held.next);
  }

  private at(count: Count, nowMs: number): Held {
    const now = count.windowMs === undefined ? 0 : Math.floor(nowMs / count.windowMs);
    const known = count.windowMs === undefined ? this.ever : this.windowed;
    let held = known.get(count.key);
    if (!held) {
      held = { count, period: this.begin(count, now, newAllowance()), next: undefined };
      known.set(count.key, held);
    }
    held.count = count;
    // The estimate of the broker's time moves by a little: a window that has begun is not left again for that.
    if (held.period.window === now || held.period.window === now + 1) return held;
    const before = held.period;
    held.period =
      held.next?.window === now
        ? held.next
        : this.begin(count, now, before.window === now - 1 ? carried(before, this.monotonic()) : newAllowance());
    held.next = undefined;
    return held;
  }

  private begin({ key }: Count, window: number, allowance: Allowance): Period {
    return { ...newPeriod(window, allowance), putBack: this.putBack.get(key)?.window === window };
  }

  private all(): Held[] {
    return [...this.windowed.values(), ...this.ever.values()];
  }

  private ask(count: Count, period: Period): Promise<void> {
    // It stays so for the whole window, and was told.
    if (period.putBack) return Promise.resolve();
    period.asking ??= this.fill(count, period);
    return period.asking;
  }

  private async fill(count: Count, period: Period): Promise<void> {
    const { counters, onPutBack, onFailure } = this.options;
    const { allowance } = period;
    const counter = count.counter(period.window);
    try {
      for (let round = 0; round < drawsMax; round++) {
        if (isExhausted(allowance, count.limit) || (allowance.drawn === 0 && returnable(count))) {
          learnReturned(allowance, await counters.read(count.stream, `${counter}.returned`));
          period.readAt = this.monotonic();
          if (isExhausted(allowance, count.limit)) return;
        }
        // What is known before the draw is sent: see Allowance.
        const { returned } = allowance;
        const size = drawSize(allowance, count.limit, { workers: this.workers, wait: period.wait, nowMs: this.monotonic() });
        const value = await counters.add(`${counter}.drawn`, size);
        if (!drew(allowance, { count: size, value, returned, nowMs: this.monotonic() }, count.limit)) {
          period.putBack = true;
          this.putBack.set(count.key, { window: period.window, windowMs: count.windowMs });
          onPutBack(count, period.window);
          return;
        }
        if (left(allowance, count.limit) > 0 || !returnable(count)) return;
        // All of it was beyond the limit. It goes back at once, and what others gave back meanwhile may be had.
        learnReturned(allowance, await counters.add(`${counter}.returned`, giveBack(allowance)));
      }
    } catch (error) {
      period.failedAt = this.monotonic();
      onFailure(`nothing was drawn of ${count.key}`, error);
    } finally {
      period.asking = undefined;
      period.wait = 0;
    }
  }

  private tick(): void {
    this.workers = Math.max(1, this.options.workers());
    const idle = this.monotonic() - idleMs;
    for (const [key, { window, windowMs }] of this.putBack)
      if (windowMs !== undefined && (window + 2) * windowMs < this.nowMs()) this.putBack.delete(key);
    for (const { count, period } of this.all())
      if (period.usedAt < idle && !period.asking && returnable(count)) void this.return(count, period);
  }

  /** At most once for each: when it is not known whether it was counted, it is lost. */
  private async return(count: Count, { allowance, window }: Period): Promise<void> {
    const unused = giveBack(allowance);
    if (unused === 0) return;
    const late = (error: unknown) => this.options.onFailure(`${unused} of ${count.key} are lost`, error);
    await this.options.counters.add(`${count.counter(window)}.returned`, unused).catch(late);
  }
}

const newPeriod = (window: number, allowance: Allowance): Period => ({
  ...{ window, allowance, asking: undefined, wait: 0 },
  ...{ failedAt: Number.NEGATIVE_INFINITY, readAt: Number.NEGATIVE_INFINITY, usedAt: Number.NEGATIVE_INFINITY, putBack: false },
});

/** Of the window before only the pace is kept. */
const carried = ({ allowance: { size } }: Period, now: number): Allowance => ({ ...newAllowance(size), drawnAtMs: now - 100 });

const returnable = ({ windowMs }: Count): boolean => windowMs === undefined || windowMs >= shortWindowMs;
