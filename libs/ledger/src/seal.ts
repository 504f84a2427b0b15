import { type ChainId, isChainId, NAME } from './chain-id';
import { fromBase64Url } from './encoding';
import { LedgerError } from './errors';
import { checkHash } from './hashing';
import { ES256_SIGNATURE_BYTES } from './public-key';

/**
 * What a worker claims of a batch. `seq` counts its batches from 0, `prev` is the batch hash of the one before (32 zero bytes for seq 0),
 * `count` the number of record lines, `recordsHash` the SHA-256 of the record lines joined with "\n".
 */
export type SealClaims = ChainId & { readonly seq: number; readonly prev: Buffer; readonly count: number; readonly recordsHash: Buffer };
/** `signature`: ES256, raw 64 bytes, over the seal's text without the signature member. */
export type Seal = SealClaims & { readonly signature: Buffer };

/** Length that `,"signature":"…"}` adds to the text of a seal, its closing brace aside. */
export const SIGNATURE_MEMBER_BYTES = ',"signature":""'.length + 86;
export const MAX_SEAL_BYTES = 1_024;

// Only a seal may start like this, so whoever reads leaves of the ledger knows where batches end.
const SEAL_START = Buffer.from('{"kind":"batch",');
// One exact spelling: nothing is parsed as JSON, so no two readers can see different claims in one line.
const SEAL = new RegExp(
  `^\\{"kind":"batch","service":"(${NAME})","worker":"(${NAME})","epoch":"(${NAME})","seq":(0|[1-9]\\d{0,15}),"prev":"([\\w-]{43})",` +
    `"count":([1-9]\\d{0,5}),"recordsHash":"([\\w-]{43})","signature":"([\\w-]{86})"\\}$`,
);

/** `prev` of the first batch of an epoch. */
export const genesisPrev = (): Buffer => Buffer.alloc(32);

/** The text that is hashed and signed: the seal as JSON, without its signature. Throws `ERR_BATCH_FORMAT`. */
export function encodeSeal(claims: SealClaims): string {
  const { service, worker, epoch, seq, prev, count, recordsHash } = claims;
  if (!isChainId(claims)) throw new LedgerError('ERR_BATCH_FORMAT', 'Not a service, worker and epoch name');
  if (!Number.isSafeInteger(seq) || seq < 0) throw new LedgerError('ERR_BATCH_FORMAT', `${seq} is not a sequence number`);
  checkHash(prev);
  checkHash(recordsHash);
  return (
    `{"kind":"batch","service":"${service}","worker":"${worker}","epoch":"${epoch}","seq":${seq},"prev":"${prev.toString('base64url')}",` +
    `"count":${count},"recordsHash":"${recordsHash.toString('base64url')}"}`
  );
}

/** The seal line: `text` (of `encodeSeal`) with the signature as its last member. */
export function signedSeal(text: string, signature: Uint8Array): string {
  if (signature.length !== ES256_SIGNATURE_BYTES) throw new LedgerError('ERR_BATCH_FORMAT', `A signature of ${signature.length} bytes`);
  return `${text.slice(0, -1)},"signature":"${Buffer.from(signature).toString('base64url')}"}`;
}

export const isSealLine = (line: Uint8Array): boolean => startsWith(line, SEAL_START);

/** The claims of a seal line and the bytes that its signature covers. Throws `ERR_BATCH_FORMAT`. */
export function parseSeal(line: Buffer): { seal: Seal; signedBytes: Buffer } {
  const text = line.length <= MAX_SEAL_BYTES ? line.toString('latin1') : '';
  const [, service, worker, epoch, seq, prev, count, recordsHash, signature] = SEAL.exec(text) ?? [];
  if (signature === undefined) throw new LedgerError('ERR_BATCH_FORMAT', 'The last line is not a seal');
  const decoded = [prev!, recordsHash!, signature].map(fromBase64Url);
  const [prevBytes, recordsHashBytes, signatureBytes] = decoded;
  if (!prevBytes || !recordsHashBytes || !signatureBytes || !Number.isSafeInteger(Number(seq))) {
    throw new LedgerError('ERR_BATCH_FORMAT', 'A value of the seal is not in its canonical spelling');
  }
  const claims = {
    service: service!,
    worker: worker!,
    epoch: epoch!,
    seq: Number(seq),
    prev: prevBytes,
    count: Number(count),
    recordsHash: recordsHashBytes,
  };
  const signedBytes = Buffer.from(`${text.slice(0, -1 - SIGNATURE_MEMBER_BYTES)}}`, 'latin1');
  return { seal: { ...claims, signature: signatureBytes }, signedBytes };
}

const startsWith = (line: Uint8Array, start: Buffer): boolean =>
  line.length >= start.length && start.equals(line.subarray(0, start.length));
