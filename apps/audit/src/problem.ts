import { ProblemError } from '@claviger/contracts';
import { LedgerError } from '@claviger/ledger';
import { defaultProblem } from '@claviger/service';
import { MongoError } from 'mongodb';

/** What went wrong, in the closed codes; the cause stays with it for the log. Unknown (the store is away) is not absent. */
export function toProblem(error: unknown): ProblemError {
  if (error instanceof LedgerError && error.code === 'ERR_TREE_RANGE') return new ProblemError('ERR_MALFORMED_REQUEST', error.message);
  if (error instanceof MongoError) return new ProblemError('ERR_STORE_UNAVAILABLE', undefined, { cause: error });
  return defaultProblem(error);
}
