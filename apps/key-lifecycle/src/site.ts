import { ProblemError, type Region, type Residency, residesIn } from '@claviger/contracts';

/** Where this process and its document store are. */
export class Site {
  constructor(readonly region: Region | undefined) {}

  /** Throws ERR_RESIDENCY: the record of such a key must not be stored here. */
  assertResident(residency: Residency | undefined): void {
    if (residesIn(residency, this.region)) return;
    const here = this.region === undefined ? 'and nobody said where this site is (SITE_REGION)' : `and this site is in ${this.region}`;
    throw new ProblemError('ERR_RESIDENCY', `The key may be in ${residency?.join(', ')}, ${here}.`);
  }
}
