import { type KeyObject } from 'node:crypto';
import { type Batch } from './batch';
import { isEpochLine } from './epoch';
import { sha256 } from './hashing';
import { verifyEs256 } from './public-key';

/** Where the chain stands: `seq` of the batch that comes next, `prev` the batch hash of the last one accepted (`genesisPrev()` when `seq` is 0). */
export type ExpectedBatch = { readonly seq: number; readonly prev: Buffer };

/**
 * The closed union of what can be wrong with a batch.
 * - `bad-signature`, `records-hash`, `count`: not what the worker sealed; nothing else in it can be believed, so nothing else is reported.
 * - `replay`: the last accepted batch again, byte for byte in all that is signed (a redelivery does that).
 * - `stale`: a seq before the last accepted one; compare its batch hash with the recorded one to tell a replay from a fork.
 * - `fork`: the worker's key signed two histories: another batch at the last seq, or one at the next seq that follows something else.
 * - `gap`: batches are missing before this one.
 * - `epoch-missing`, `epoch-misplaced`: the epoch record is the first line of seq 0, and nowhere else.
 */
export type BatchFinding =
  | { readonly finding: 'bad-signature' }
  | { readonly finding: 'records-hash' }
  | { readonly finding: 'count'; readonly claimed: number; readonly found: number }
  | { readonly finding: 'replay'; readonly seq: number }
  | { readonly finding: 'stale'; readonly seq: number; readonly expectedSeq: number }
  | { readonly finding: 'fork'; readonly seq: number }
  | { readonly finding: 'gap'; readonly seq: number; readonly expectedSeq: number }
  | { readonly finding: 'epoch-missing' }
  | { readonly finding: 'epoch-misplaced'; readonly line: number };

/** Everything wrong with a parsed batch, given its epoch's certified key (`p256PublicKey`, kept per epoch). None found: append it. */
export function verifyBatch(batch: Batch, publicKey: KeyObject, expected: ExpectedBatch): BatchFinding[] {
  const tampering = verifyIntegrity(batch, publicKey);
  return tampering.length > 0 ? tampering : [...verifyPosition(batch, expected), ...verifyEpochPlace(batch)];
}

function verifyIntegrity({ lines, records, seal, signedBytes }: Batch, publicKey: KeyObject): BatchFinding[] {
  const findings: BatchFinding[] = [];
  if (!verifyEs256(signedBytes, publicKey, seal.signature)) findings.push({ finding: 'bad-signature' });
  if (!sha256(records).equals(seal.recordsHash)) findings.push({ finding: 'records-hash' });
  if (lines.length - 1 !== seal.count) findings.push({ finding: 'count', claimed: seal.count, found: lines.length - 1 });
  return findings;
}

function verifyPosition({ seal, batchHash }: Batch, expected: ExpectedBatch): BatchFinding[] {
  const { seq } = seal;
  if (seq > expected.seq) return [{ finding: 'gap', seq, expectedSeq: expected.seq }];
  if (seq === expected.seq) return seal.prev.equals(expected.prev) ? [] : [{ finding: 'fork', seq }];
  if (seq < expected.seq - 1) return [{ finding: 'stale', seq, expectedSeq: expected.seq }];
  return [{ finding: batchHash.equals(expected.prev) ? 'replay' : 'fork', seq }];
}

function verifyEpochPlace({ lines, seal }: Batch): BatchFinding[] {
  const findings: BatchFinding[] = [];
  if (seal.seq === 0 && !isEpochLine(lines[0]!)) findings.push({ finding: 'epoch-missing' });
  lines.forEach((line, at) => {
    if (isEpochLine(line) && !(seal.seq === 0 && at === 0)) findings.push({ finding: 'epoch-misplaced', line: at });
  });
  return findings;
}
