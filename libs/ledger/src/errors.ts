/** The closed table of this lib's failures: what was refused, and what to do next. Nothing here is worth a retry of the same input. */
const table = {
  ERR_TREE_RANGE: 'Ask for an index and sizes inside the tree.',
  ERR_TREE_EDGE: 'The stored edge does not describe its size: rebuild it from the tiles and compare the root with the last checkpoint.',
  ERR_HASH_LENGTH: 'Pass 32-byte SHA-256 hashes.',
  ERR_TILE: 'The tile store answered with other bytes than that tile has: check the store against the last checkpoint.',
  ERR_TILE_PATH: 'Use the path form of C2SP tlog-tiles.',
  ERR_ENTRY_BUNDLE: 'Use the entry bundle form of C2SP tlog-tiles, with entries of at most 65,535 bytes.',
  ERR_CHECKPOINT_FORMAT: 'Use the text form of C2SP tlog-checkpoint.',
  ERR_CHECKPOINT_ORIGIN: 'This checkpoint is of another log: do not compare it with this one.',
  ERR_NOTE_FORMAT: 'Use the form of C2SP signed-note.',
  ERR_NOTE_SIGNATURE: 'A known key did not sign this text: treat the note as forged.',
  ERR_NOTE_UNTRUSTED: 'No known key signed this note: check the verifier keys, or refuse it.',
  ERR_VKEY: 'Use the form name+hash+key of an Ed25519 signed-note verifier key.',
  ERR_BATCH_FORMAT: 'Dead-letter the message and raise a finding: no worker of this system writes that.',
  ERR_EPOCH_FORMAT: 'Dead-letter the message and raise a finding: no worker of this system writes that.',
  ERR_LOG_STATE: 'Verify the log from its first leaf.',
  ERR_PUBLIC_KEY: 'Use an uncompressed P-256 or an Ed25519 key as DER SubjectPublicKeyInfo.',
} as const;

export type LedgerErrorCode = keyof typeof table;

/** The only error that this lib throws. What a port (`readTile`, `sign`) throws passes through untouched: unknown is not absent. */
export class LedgerError extends Error {
  override readonly name = 'LedgerError';
  /** The same input fails again. */
  readonly retryable = false;

  constructor(
    readonly code: LedgerErrorCode,
    what: string,
    cause?: unknown,
  ) {
    super(`${what}. ${table[code]}`, cause === undefined ? undefined : { cause });
  }
}
