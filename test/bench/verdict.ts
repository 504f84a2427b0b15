import type { LedgerCheck } from './ledger-check';
import type { LoadResult } from './load';

/** Why the numbers of a run do not stand, a line each; none when they do. */
export function objections(
  measured: readonly (Pick<LoadResult, 'requests' | 'errors'> & { name: string })[],
  ledger: Pick<LedgerCheck, 'missing' | 'twice'>,
): string[] {
  const ofLoads = measured.flatMap(({ name, requests, errors }) => [
    ...(requests === 0 ? [`${name}: no request was done`] : []),
    ...Object.entries(errors).map(([code, times]) => `${name}: ${code}, ${times} times`),
  ]);
  const isExact = ledger.missing === 0 && ledger.twice === 0;
  return isExact ? ofLoads : [...ofLoads, 'the ledger does not hold exactly one record per reply'];
}
