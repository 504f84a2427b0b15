/**
 * Counts alike events, so that whoever causes many of them writes few records. At most `maxKinds` kinds are told apart between two takes; the
 * rest is counted under what `overflow` makes of them.
 */
export class Fold<E extends object> {
  private counts = new Map<string, { event: E; count: number }>();

  constructor(
    private readonly keyOf: (event: E) => string,
    private readonly overflow: (event: E) => E,
    private readonly maxKinds = 100,
  ) {}

  /** True when it is the first of its kind since the last take. */
  add(event: E): boolean {
    const key = this.keyOf(event);
    if (this.counts.has(key) || this.counts.size < this.maxKinds) return this.count(key, event);
    const rest = this.overflow(event);
    return this.count(`overflow ${this.keyOf(rest)}`, rest);
  }

  /** What happened since the last take. */
  take(): { event: E; count: number }[] {
    const taken = [...this.counts.values()];
    this.counts = new Map();
    return taken;
  }

  private count(key: string, event: E): boolean {
    const known = this.counts.get(key);
    if (known) known.count++;
    else this.counts.set(key, { event, count: 1 });
    return known === undefined;
  }
}
