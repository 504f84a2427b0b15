export {
  type Batch,
  type BatchPosition,
  finishBatch,
  MAX_BATCH_BYTES,
  MAX_BATCH_LINES,
  parseBatch,
  type SealedBatch,
  sealBatch,
} from './batch';
export type { ChainId } from './chain-id';
export { type Checkpoint, encodeCheckpoint, openCheckpoint, type ParsedCheckpoint, parseCheckpoint } from './checkpoint';
export { type Appended, appendLeaves, checkEdge, type Edge, edgeRoot, edgeTiles, emptyEdge } from './edge';
export { encodeEntryBundle, MAX_ENTRY_BYTES, parseEntryBundle } from './entry-bundle';
export {
  type EpochClaims,
  type EpochFinding,
  type EpochRecord,
  encodeEpochRecord,
  epochCertificateText,
  isEpochLine,
  parseEpochRecord,
  verifyEpoch,
} from './epoch';
export { LedgerError, type LedgerErrorCode } from './errors';
export { emptyRoot, HASH_BYTES, leafHash, nodeHash } from './hashing';
export type { LogState, RecordedFinding } from './log-state';
export { consistencyProof, inclusionProof, readEdge, treeRoot } from './prove';
export { p256PublicKey, rawEd25519PublicKey } from './public-key';
export { encodeSeal, genesisPrev, isSealLine, parseSeal, type Seal, type SealClaims } from './seal';
export { MAX_NOTE_BYTES, MAX_NOTE_SIGNATURES, type NoteSigner, signNote, type VerifiedNote, verifyNote } from './signed-note';
export { entriesPath, type FullTile, parseTilePath, TILE_BYTES, TILE_WIDTH, type TileCoordinates, tilePath, tileWidth } from './tile';
export { type ReadTile, tileReader } from './tile-reader';
export { ed25519KeyHash, ed25519Verifier, encodeVerifierKey, type NoteVerifier, parseVerifierKey, type VerifierKey } from './verifier-key';
export { type BatchFinding, type ExpectedBatch, verifyBatch } from './verify-batch';
export { type LogProblem, type LogReport, type LogRules, LogVerifier } from './verify-log';
export { type ConsistencyClaim, type InclusionClaim, verifyConsistency, verifyInclusion } from './verify-proof';
export { type WholeTree, wholeTree } from './whole-tree';
