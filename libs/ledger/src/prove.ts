import { type Edge } from './edge';
import { emptyRoot, nodeHash } from './hashing';
import { checkSize, consistencyRanges, inclusionRanges, type Range, subtreesOf } from './subtrees';
import { TILE_WIDTH } from './tile';
import { type ReadTile, readCheckedTile, readSubtreeRoots } from './tile-reader';

/** Root hash at any size that the tiles reach (`MTH(D[0:size])`, RFC 6962 §2.1). */
export async function treeRoot(size: number, readTile: ReadTile): Promise<Buffer> {
  checkSize(size);
  if (size === 0) return emptyRoot();
  const [root] = await rangeRoots([{ lo: 0, hi: size }], size, readTile);
  return root!;
}

/** Audit path of entry `index` in the tree of `size`, leaf to root: at most 53 hashes (RFC 9162 §2.1.3.1). `ERR_TREE_RANGE`, `ERR_TILE`. */
export const inclusionProof = (index: number, size: number, readTile: ReadTile): Promise<Buffer[]> =>
  rangeRoots(inclusionRanges(index, size), size, readTile);

/** Proof that the tree of `from` is a prefix of the tree of `to` (RFC 9162 §2.1.4.1); empty when `from` is 0 or `to`. `ERR_TREE_RANGE`, `ERR_TILE`. */
export const consistencyProof = (from: number, to: number, readTile: ReadTile): Promise<Buffer[]> =>
  rangeRoots(consistencyRanges(from, to), to, readTile);

/** The edge of a tree of `size`, from stored tiles: how a sequencer or an auditor resumes without its own edge. Compare `edgeRoot` with a checkpoint. */
export async function readEdge(size: number, readTile: ReadTile): Promise<Edge> {
  checkSize(size);
  const widths: number[] = [];
  for (let remaining = size; remaining > 0; remaining = Math.floor(remaining / TILE_WIDTH)) widths.push(remaining % TILE_WIDTH);
  const levels = await Promise.all(
    widths.map((width, level) =>
      width === 0 ? Buffer.alloc(0) : readCheckedTile(level, Math.floor(size / TILE_WIDTH ** (level + 1)), size, readTile),
    ),
  );
  return { size, levels };
}

async function rangeRoots(ranges: readonly Range[], size: number, readTile: ReadTile): Promise<Buffer[]> {
  const parts = ranges.map(subtreesOf);
  const roots = await readSubtreeRoots(parts.flat(), size, readTile);
  let at = 0;
  return parts.map(({ length }) => {
    const own = roots.slice(at, at + length);
    at += length;
    return own.reduceRight((right, left) => nodeHash(left, right));
  });
}
