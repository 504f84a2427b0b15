import { ProblemError, type Region, type Residency, residesIn } from '@claviger/contracts';
import type { Key } from './key';

/** Where this process and its document store are. */
export class Site {
  constructor(readonly region: Region | undefined) {}

  /** Throws ERR_RESIDENCY: the record of such a key must not be stored here. */
  assertResident(residency: Residency | undefined): void {
    const why = this.whyNot(residency);
    if (why !== undefined) throw new ProblemError('ERR_RESIDENCY', why);
  }

  /** Those whose records may be stored here, and the others, each with why not. */
  parted<E extends { key: Pick<Key, 'residency'> }>(entries: readonly E[]): { here: E[]; elsewhere: { entry: E; why: string }[] } {
    const all = entries.map((entry) => ({ entry, why: this.whyNot(entry.key.residency) }));
    return {
      here: all.flatMap(({ entry, why }) => (why === undefined ? [entry] : [])),
      elsewhere: all.flatMap(({ entry, why }) => (why === undefined ? [] : [{ entry, why }])),
    };
  }

  private whyNot(residency: Residency | undefined): string | undefined {
    if (residesIn(residency, this.region)) return undefined;
    const here = this.region === undefined ? 'and nobody said where this site is (SITE_REGION)' : `and this site is in ${this.region}`;
    return `The key may be in ${residency?.join(', ')}, ${here}.`;
  }
}
