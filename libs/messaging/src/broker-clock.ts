/** How much the clocks of two machines may go apart, as a share of the time that passes: what NTP allows at most (RFC 5905 §7.3, 500 ppm). */
const drift = 0.0005;
/** The broker says when it stored something in whole milliseconds. */
const resolutionMs = 1;

/**
 * The broker's time, which all processes share, where their own clocks differ: what was sent at one time of ours and had come back at another was stored in between (Cristian's algorithm). The
 * best of what was seen counts, until drift makes a newer one better.
 */
export class BrokerClock {
  /** Broker's milliseconds since 1970 minus our monotonic ones, give or take `uncertainty` at `at`. */
  private best: { offset: number; uncertainty: number; at: number } | undefined;

  constructor(
    private readonly monotonic: () => number = () => performance.now(),
    private readonly wall: () => number = Date.now,
  ) {}

  /** Something that was sent at `sentAt` (monotonic ms), stored at `storedMs` of the broker, and came back now. */
  observe(sentAt: number, storedMs: number): void {
    const at = this.monotonic();
    const seen = { offset: storedMs + resolutionMs / 2 - (sentAt + at) / 2, uncertainty: (at - sentAt) / 2 + resolutionMs / 2, at };
    if (seen.uncertainty <= this.uncertaintyMs()) this.best = seen;
  }

  /** Milliseconds since 1970-01-01 UTC. Our own clock until something was seen. */
  nowMs(): number {
    return this.best ? this.best.offset + this.monotonic() : this.wall();
  }

  /** How far `nowMs` may be off; infinite until something was seen. */
  uncertaintyMs(): number {
    return this.best ? this.best.uncertainty + (this.monotonic() - this.best.at) * drift : Number.POSITIVE_INFINITY;
  }
}
