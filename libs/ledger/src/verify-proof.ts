import { emptyRoot, HASH_BYTES, nodeHash } from './hashing';

export type InclusionClaim = {
  readonly index: number;
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly proof: readonly Uint8Array[];
  readonly root: Uint8Array;
};
export type ConsistencyClaim = {
  readonly from: number;
  readonly to: number;
  readonly fromRoot: Uint8Array;
  readonly toRoot: Uint8Array;
  readonly proof: readonly Uint8Array[];
};

/** Is the leaf the entry `index` of the tree with this root? (RFC 9162 §2.1.3.2.) False for any malformed claim; never throws. */
export function verifyInclusion({ index, size, leafHash, proof, root }: InclusionClaim): boolean {
  if (!isSize(index) || !isSize(size) || index >= size || ![leafHash, root, ...proof].every(isHash)) return false;
  let fn = index;
  let sn = size - 1;
  let hash = leafHash;
  for (const sibling of proof) {
    if (sn === 0) return false;
    if (isOdd(fn) || fn === sn) {
      hash = nodeHash(sibling, hash);
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && equal(hash, root);
}

/**
 * Is the tree with `fromRoot` a prefix of the tree with `toRoot`? (RFC 9162 §2.1.4.2.) The empty tree is a prefix of every tree, a tree of
 * itself, each by an empty proof. False for any malformed claim; never throws.
 */
export function verifyConsistency({ from, to, fromRoot, toRoot, proof }: ConsistencyClaim): boolean {
  if (!isSize(from) || !isSize(to) || from > to || ![fromRoot, toRoot, ...proof].every(isHash)) return false;
  if (from === to) return proof.length === 0 && equal(fromRoot, toRoot) && (from > 0 || equal(fromRoot, emptyRoot()));
  if (from === 0) return proof.length === 0 && equal(fromRoot, emptyRoot());
  if (proof.length === 0) return false;
  let fn = from - 1;
  let sn = to - 1;
  while (isOdd(fn)) [fn, sn] = [half(fn), half(sn)];
  // After the shift fn is 0 exactly when `from` is a power of two: its root is then itself the first node of the path.
  const path = fn === 0 ? [fromRoot, ...proof] : proof;
  let fromHash = path[0]!;
  let toHash = path[0]!;
  for (const node of path.slice(1)) {
    if (sn === 0) return false;
    if (isOdd(fn) || fn === sn) {
      fromHash = nodeHash(node, fromHash);
      toHash = nodeHash(node, toHash);
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      toHash = nodeHash(toHash, node);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && equal(fromHash, fromRoot) && equal(toHash, toRoot);
}

const isSize = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
const isHash = (value: unknown): boolean => value instanceof Uint8Array && value.length === HASH_BYTES;
const isOdd = (value: number): boolean => value % 2 === 1;
const half = (value: number): number => Math.floor(value / 2);
const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
