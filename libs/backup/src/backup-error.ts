/** A backup that is not what its site signed, and from which line on. */
export class BackupDamaged extends Error {
  override readonly name = 'BackupDamaged';

  constructor(
    readonly reason: string,
    /** Number of the first bad chunk; 0 for the header. */
    readonly chunk?: number,
    options?: { cause?: unknown },
  ) {
    super(`${chunk === undefined ? 'the backup' : chunk === 0 ? 'the header' : `chunk ${chunk}`}: ${reason}`, options);
  }
}
