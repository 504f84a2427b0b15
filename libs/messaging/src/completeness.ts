import { type MarkBody, RevisionSum } from './high-water-mark';

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
  private readonly sum = new RevisionSum();
  private readonly counted = new Map<string, { id: string; revision: number }>();
  private mark: MarkBody | undefined;
  private reached = false;
  /** Sum and count after each change, until one of them is the mark's. */
  private readonly states = new Set<string>();

  /** A mark older than `maxAgeMs` says nothing about now. */
  constructor(private readonly maxAgeMs = defaultMaxAgeMs) {}

  get complete(): boolean {
    return this.reached;
  }

  /** A record that the mark covers, in place of the one of its id before. */
  count({ id, revision }: { id: string; revision: number }): void {
    this.remove(id);
    const record = { id, revision };
    this.sum.add(record);
    this.counted.set(id, record);
    this.remember();
  }

  /** Whether a record is covered may change with time, so what was added is remembered, not asked again. */
  uncount(id: string): void {
    if (this.remove(id)) this.remember();
  }

  private remove(id: string): boolean {
    const counted = this.counted.get(id);
    if (counted) this.sum.remove(counted);
    return this.counted.delete(id);
  }

  private remember(): void {
    if (this.reached) return;
    this.states.add(stateOf(this.sum.read()));
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
    const wanted = stateOf(mark);
    this.reached = wanted === stateOf(this.sum.read()) || this.states.has(wanted);
    if (this.reached) this.states.clear();
    return this.reached;
  }

  /** Why it is not complete. */
  lacks(): 'no mark yet' | 'mark too old' | 'does not add up to its mark' {
    if (!this.mark) return 'no mark yet';
    return this.isTooOld(this.mark) ? 'mark too old' : 'does not add up to its mark';
  }

  /** Sum and count of what the mark covers; for the owner, who signs it. */
  read(): { count: number; sum: string } {
    return this.sum.read();
  }

  private isTooOld({ asOf }: MarkBody): boolean {
    return Date.now() - Date.parse(asOf) > this.maxAgeMs;
  }
}

const stateOf = ({ count, sum }: { count: number; sum: string }) => `${count} ${sum}`;
