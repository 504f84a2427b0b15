import { ClavigerError } from '@claviger/client';

/** Why something could not be read, for a report that goes on without it. @throws what is no answer of the system */
export function whyNot(error: unknown): string {
  if (!(error instanceof ClavigerError)) throw error;
  return error.code === 'ERR_ACCESS_DENIED' ? 'you may not read it' : `${error.code}: ${error.message}`;
}
