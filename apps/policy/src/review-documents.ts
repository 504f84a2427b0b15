import type { OwedRecords } from '@claviger/service';
import type { Review } from './review';
import type { SignedStore } from './signed-store';

/** Reviews in the store, and the records that their changes owe. */
export class ReviewDocuments {
  constructor(
    readonly store: SignedStore<Review>,
    readonly owed: OwedRecords,
  ) {}
}
