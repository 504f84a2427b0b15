import { emptyRoot, nodeHash } from './hashing';
import { split } from './subtrees';

export interface WholeTree {
  root: Buffer;
  /** Of each leaf: `PATH(index, D)`, leaf to root. */
  proofs: Buffer[][];
}

/** The tree over some leaf hashes, held in memory as a whole, and the inclusion proof of each (RFC 9162 §2.1.1 and §2.1.3.1). */
export function wholeTree(leafHashes: readonly Buffer[]): WholeTree {
  const proofs = leafHashes.map((): Buffer[] => []);
  const rootOf = (lo: number, hi: number): Buffer => {
    if (hi - lo === 1) return leafHashes[lo] as Buffer;
    const middle = lo + split(hi - lo);
    const [left, right] = [rootOf(lo, middle), rootOf(middle, hi)];
    for (let i = lo; i < hi; i++) proofs[i]?.push(i < middle ? right : left);
    return nodeHash(left, right);
  };
  return { root: leafHashes.length === 0 ? emptyRoot() : rootOf(0, leafHashes.length), proofs };
}
