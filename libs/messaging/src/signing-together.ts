import { Gathering, type Outcome } from './gathering';
import { type RecordSigner, recordsTogetherMax, signRecords } from './signed-record';

/** Signs with one signature what is asked for in one turn of the event loop: a signature of a token takes as long as all the rest of a record. */
export class SigningTogether {
  private readonly gathering: Gathering<{ typ: string; payload: unknown }, string>;

  constructor(signer: RecordSigner) {
    this.gathering = new Gathering(recordsTogetherMax, async (records) =>
      signRecords(records, signer).map((value): Outcome<string> => ({ value })),
    );
  }

  /** As `signRecord`, or as one of `signRecords`. Throws what the token throws. */
  sign(typ: string, payload: unknown): Promise<string> {
    return this.gathering.ask({ typ, payload });
  }
}
