import { isUtf8 } from 'node:buffer';
import { type ChainId } from './chain-id';
import { MAX_ENTRY_BYTES } from './entry-bundle';
import { LedgerError } from './errors';
import { sha256 } from './hashing';
import { encodeSeal, isSealLine, parseSeal, type Seal, signedSeal } from './seal';

export const MAX_BATCH_BYTES = 4 * 1_024 * 1_024;
/** Record lines and the seal line. */
export const MAX_BATCH_LINES = 5_000;
const NEWLINE = 0x0a;
const OPEN = 0x7b;
const CLOSE = 0x7d;

export type BatchPosition = ChainId & { readonly seq: number; readonly prev: Buffer };
/** `toSign` is the SHA-256 digest to sign with raw ECDSA (PKCS#11 `CKM_ECDSA`); it is also the batch hash, the next batch's `prev`. */
export type SealedBatch = { readonly records: Buffer; readonly sealText: string; readonly toSign: Buffer; readonly batchHash: Buffer };
/** `lines` are the leaves: every record line and, last, the seal line. `lines` and `records` are views on the message. */
export type Batch = {
  readonly lines: readonly Buffer[];
  readonly records: Buffer;
  readonly seal: Seal;
  readonly signedBytes: Buffer;
  readonly batchHash: Buffer;
};

/**
 * Join record lines (JSON objects, one line each, at most 65,535 bytes) and seal them; the signature is made elsewhere. The caller keeps
 * a batch under 4 MiB and under 5,000 lines. Throws `ERR_BATCH_FORMAT`.
 */
export function sealBatch(position: BatchPosition, recordLines: readonly string[]): SealedBatch {
  const count = recordLines.length;
  if (count === 0 || count >= MAX_BATCH_LINES) throw new LedgerError('ERR_BATCH_FORMAT', `A batch of ${count} records`);
  for (const line of recordLines) checkRecordText(line);
  const records = Buffer.from(recordLines.join('\n'));
  const sealText = encodeSeal({ ...position, count, recordsHash: sha256(records) });
  const batchHash = sha256(sealText);
  return { records, sealText, toSign: batchHash, batchHash };
}

/** The message: records and seal with its signature (raw `r || s`, 64 bytes). Retries send these identical bytes. */
export function finishBatch({ records, sealText }: SealedBatch, signature: Uint8Array): Buffer {
  const message = Buffer.concat([records, Buffer.from(`\n${signedSeal(sealText, signature)}`)]);
  if (message.length > MAX_BATCH_BYTES) throw new LedgerError('ERR_BATCH_FORMAT', `A batch of ${message.length} bytes`);
  return message;
}

/** Split a message into its leaves. It says what the message claims; `verifyBatch` says whether that is true. Throws `ERR_BATCH_FORMAT`. */
export function parseBatch(message: Uint8Array): Batch {
  if (message.length > MAX_BATCH_BYTES) throw new LedgerError('ERR_BATCH_FORMAT', `A batch of ${message.length} bytes`);
  if (!isUtf8(message)) throw new LedgerError('ERR_BATCH_FORMAT', 'Not UTF-8');
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  const lines: Buffer[] = [];
  for (let start = 0; start <= bytes.length; ) {
    if (lines.length === MAX_BATCH_LINES) throw new LedgerError('ERR_BATCH_FORMAT', `More than ${MAX_BATCH_LINES} lines`);
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline === -1 ? bytes.length : newline;
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  if (lines.length < 2) throw new LedgerError('ERR_BATCH_FORMAT', 'No records before the seal');
  const sealLine = lines.at(-1)!;
  for (const line of lines.slice(0, -1)) checkRecordBytes(line);
  const { seal, signedBytes } = parseSeal(sealLine);
  return { lines, records: bytes.subarray(0, bytes.length - sealLine.length - 1), seal, signedBytes, batchHash: sha256(signedBytes) };
}

function checkRecordText(line: string): void {
  // A line of at most a third of the limit fits whatever its characters are; only longer ones are measured.
  const isLong = line.length * 3 > MAX_ENTRY_BYTES && Buffer.byteLength(line) > MAX_ENTRY_BYTES;
  if (isLong || !line.startsWith('{') || !line.endsWith('}') || line.includes('\n') || line.startsWith('{"kind":"batch",')) {
    throw new LedgerError('ERR_BATCH_FORMAT', 'A record that is not one line of a JSON object');
  }
}

/** Form only: what the object says is read, and refused, by whoever needs it. */
function checkRecordBytes(line: Buffer): void {
  if (line.length > MAX_ENTRY_BYTES || line[0] !== OPEN || line[line.length - 1] !== CLOSE || isSealLine(line)) {
    throw new LedgerError('ERR_BATCH_FORMAT', 'A record that is not one line of a JSON object');
  }
}
