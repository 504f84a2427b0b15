import { hash } from 'node:crypto';
import { LedgerError } from './errors';

/** SHA-256, the only hash of the ledger. */
export const HASH_BYTES = 32;

// Domain separation of leaves and nodes (RFC 6962 §2.1): without it an inner node could be passed off as a leaf.
const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

// One scratch per kind: a one-shot hash of prefixed bytes is faster than a Hash object, and a synchronous call cannot be re-entered.
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, NODE_PREFIX);
let leafInput = Buffer.alloc(4_096);

export const sha256 = (data: string | Uint8Array): Buffer => hash('sha256', data, 'buffer');

/** `SHA-256(0x00 || entry)` (RFC 6962 §2.1). The entry is one line of a batch, without its newline. */
export function leafHash(entry: Uint8Array): Buffer {
  if (leafInput.length <= entry.length) leafInput = Buffer.alloc(2 * (entry.length + 1));
  leafInput[0] = LEAF_PREFIX;
  leafInput.set(entry, 1);
  return sha256(leafInput.subarray(0, entry.length + 1));
}

/** `SHA-256(0x01 || left || right)` (RFC 6962 §2.1). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  checkHash(left);
  checkHash(right);
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return sha256(nodeInput);
}

/** Root of the tree without entries: the hash of the empty string (RFC 6962 §2.1). */
export const emptyRoot = (): Buffer => sha256('');

/** Root of a perfect subtree over concatenated hashes; their number is a power of two. */
export function perfectRoot(hashes: Uint8Array): Buffer {
  let layer = Buffer.from(hashes);
  while (layer.length > HASH_BYTES) {
    const parents = Buffer.allocUnsafe(layer.length / 2);
    for (let at = 0; at < layer.length; at += 2 * HASH_BYTES) {
      layer.copy(nodeInput, 1, at, at + 2 * HASH_BYTES);
      parents.set(sha256(nodeInput), at / 2);
    }
    layer = parents;
  }
  return layer;
}

export function checkHash(value: Uint8Array): void {
  if (value.length !== HASH_BYTES) throw new LedgerError('ERR_HASH_LENGTH', `A hash of ${value.length} bytes`);
}
