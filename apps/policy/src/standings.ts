import type { OwedRecords } from '@claviger/service';
import type { SignedStore } from './signed-store';
import type { Standing } from './staleness';

/** How each principal uses what it has, in the store, and the records that notices owe. */
export class Standings {
  constructor(
    readonly store: SignedStore<Standing>,
    readonly owed: OwedRecords,
  ) {}
}
