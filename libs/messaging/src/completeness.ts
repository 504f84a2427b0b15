import { type MarkBody, RevisionSum, SetDigest } from './high-water-mark';

const defaultMaxAgeMs = 900_000;
/** States that are remembered while nothing adds up yet: a mark is signed within a few round trips of the state that it covers. */
const statesMax = 10_000;

/**
 * Whether a copy of a bucket holds all of it: at start its records must add up to the owner's signed mark, so that a bucket that was put back while
 * nobody watched is found. Once complete it stays so, since every later record comes through a proven watch.
 *
 * A mark follows the records that it covers, and under steady change others come in between. So it is compared with every state that this copy has
 * passed through: equal sums mean equal sets, and what came since came through the watch.
 */
export class Completeness {
  private sum = new RevisionSum();
  private set: SetDigest | undefined;
  private readonly counted = new Map<string, { id: string; revision: number }>();
  private mark: MarkBody | undefined;
  private reached = false;
  /** Sum and count after each change, until one of them is the mark's. */
  private readonly states = new Set<string>();

  /** What was counted was read from headers, so that only the digest proves it. */
  private byDigest = false;
  private counting = false;

  /** A mark older than `maxAgeMs` says nothing about now. `withDigest`: the mark has, and is compared by, a digest as well. */
  constructor(
    private readonly maxAgeMs = defaultMaxAgeMs,
    private readonly withDigest = false,
  ) {
    if (withDigest) this.set = new SetDigest();
  }

  /** Until `headersCounted` what comes is no state that the bucket was in, but the parts of one. Only the digest proves it. */
  countHeaders(): void {
    this.byDigest = true;
    this.counting = true;
  }

  headersCounted(): void {
    this.counting = false;
    this.remember();
  }

  /** Begins anew with verified records. */
  restart(): void {
    this.sum = new RevisionSum();
    if (this.withDigest) this.set = new SetDigest();
    this.counted.clear();
    this.states.clear();
    this.byDigest = false;
    this.counting = false;
  }

  get complete(): boolean {
    return this.reached;
  }

  /** A record that the mark covers, in place of the one of its id before. */
  count({ id, revision }: { id: string; revision: number }): void {
    this.remove(id);
    const record = { id, revision };
    this.sum.add(record);
    this.set?.add(record);
    this.counted.set(id, record);
    this.remember();
  }

  /** Whether a record is covered may change with time, so what was added is remembered, not asked again. */
  uncount(id: string): void {
    if (this.remove(id)) this.remember();
  }

  private remove(id: string): boolean {
    const counted = this.counted.get(id);
    if (counted) {
      this.sum.remove(counted);
      this.set?.remove(counted);
    }
    return this.counted.delete(id);
  }

  private remember(): void {
    if (this.reached || this.counting) return;
    this.states.add(this.stateOf(this.read()));
    const [oldest] = this.states;
    if (this.states.size > statesMax && oldest !== undefined) this.states.delete(oldest);
  }

  /** False when it is older than the mark that is held. */
  offer(mark: MarkBody): boolean {
    if (this.mark && mark.revision < this.mark.revision) return false;
    if (!this.mark || mark.revision > this.mark.revision) this.mark = mark;
    return true;
  }

  /** Compares what is held with the mark; gives whether it is complete now. */
  check(): boolean {
    const { mark } = this;
    if (this.reached || !mark || this.isTooOld(mark)) return this.reached;
    if (this.counting || (this.byDigest && mark.digest === undefined)) return false;
    const wanted = this.stateOf(mark);
    this.reached = wanted === this.stateOf(this.read()) || this.states.has(wanted);
    if (this.reached) this.states.clear();
    return this.reached;
  }

  /** Why it is not complete. */
  lacks(): 'no mark yet' | 'mark too old' | 'does not add up to its mark' {
    if (!this.mark) return 'no mark yet';
    return this.isTooOld(this.mark) ? 'mark too old' : 'does not add up to its mark';
  }

  /** Sum and count of what the mark covers; for the owner, who signs it. */
  read(): { count: number; sum: string; digest?: string } {
    return { ...this.sum.read(), ...(this.set ? { digest: this.set.read() } : {}) };
  }

  private stateOf({ count, sum, digest }: { count: number; sum: string; digest?: string | undefined }): string {
    return this.byDigest ? `${count} ${digest}` : `${count} ${sum}`;
  }

  private isTooOld({ asOf }: MarkBody): boolean {
    return Date.now() - Date.parse(asOf) > this.maxAgeMs;
  }
}
