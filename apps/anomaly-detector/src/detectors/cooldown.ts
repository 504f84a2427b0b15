/** What is remembered of what was alerted on. */
export interface Alerted {
  /** Second (Unix time). */
  alertedAt: number;
  /** Of the same since then. */
  folded: number;
}

/** One more of the same: how many were folded since the last alert, when it is time for one; undefined while that is too near. Changes `alerted` in place. */
export function foldedUntil(alerted: Alerted, second: number, cooldownSeconds: number): number | undefined {
  if (second - alerted.alertedAt < cooldownSeconds) {
    alerted.folded++;
    return undefined;
  }
  const { folded } = alerted;
  alerted.alertedAt = second;
  alerted.folded = 0;
  return folded;
}
