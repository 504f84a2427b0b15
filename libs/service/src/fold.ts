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

  add(event: E): void {
    const key = this.keyOf(event);
    const known = this.counts.get(key);
    if (known) known.count++;
    else if (this.counts.size < this.maxKinds) this.counts.set(key, { event, count: 1 });
    else this.addOverflow(this.overflow(event));
  }

  /** What happened since the last take. */
  take(): { event: E; count: number }[] {
    const taken = [...this.counts.values()];
    this.counts = new Map();
    return taken;
  }

  private addOverflow(event: E): void {
    const key = `overflow ${this.keyOf(event)}`;
    const known = this.counts.get(key);
    if (known) known.count++;
    else this.counts.set(key, { event, count: 1 });
  }
}
