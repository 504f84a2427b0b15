import { LedgerError } from './errors';
import { checkHash, emptyRoot, HASH_BYTES, nodeHash, perfectRoot } from './hashing';
import { checkSize, subtreesOf } from './subtrees';
import { type FullTile, TILE_BYTES, TILE_WIDTH, type TileCoordinates } from './tile';

/**
 * Everything needed to append to a tree: its size, and per tile level the hashes of the tile that is not full yet
 * (`floor(size / 256^level) mod 256` of 32 bytes, empty where that is 0). At most 8 KiB a level, seven levels for 2^53 entries.
 */
export type Edge = { readonly size: number; readonly levels: readonly Buffer[] };
export type Appended = { readonly edge: Edge; readonly tiles: readonly FullTile[] };

export const emptyEdge = (): Edge => ({ size: 0, levels: [] });

/**
 * Append leaf hashes (`leafHash`), in order. `tiles` are those that became full, by level and then index: store them before the new
 * edge. A pure function of its arguments: the same leaves in other portions give the same tiles and the same edge.
 */
export function appendLeaves(edge: Edge, leafHashes: readonly Buffer[]): Appended {
  checkEdge(edge);
  checkSize(edge.size + leafHashes.length);
  for (const leaf of leafHashes) checkHash(leaf);
  const tiles: FullTile[] = [];
  const levels: Buffer[] = [];
  let incoming = Buffer.concat(leafHashes);
  for (let level = 0; level < edge.levels.length || incoming.length > 0; level++) {
    const row = Buffer.concat([edge.levels[level] ?? Buffer.alloc(0), incoming]);
    const firstIndex = Math.floor(edge.size / TILE_WIDTH ** (level + 1));
    const roots: Buffer[] = [];
    let at = 0;
    for (; at + TILE_BYTES <= row.length; at += TILE_BYTES) {
      const bytes = Buffer.from(row.subarray(at, at + TILE_BYTES));
      tiles.push({ level, index: firstIndex + at / TILE_BYTES, bytes });
      roots.push(perfectRoot(bytes));
    }
    levels.push(Buffer.from(row.subarray(at)));
    incoming = Buffer.concat(roots);
  }
  return { edge: { size: edge.size + leafHashes.length, levels }, tiles };
}

/** Root hash of the tree (`MTH(D[0:size])`, RFC 6962 §2.1). */
export function edgeRoot(edge: Edge): Buffer {
  checkEdge(edge);
  let root: Buffer | undefined;
  for (const hashes of edge.levels) {
    // Right to left: what is right of a subtree joins it as its sibling.
    let end = hashes.length / HASH_BYTES;
    for (const { level } of subtreesOf({ lo: 0, hi: end }).reverse()) {
      const start = end - 2 ** level;
      const subtree = perfectRoot(hashes.subarray(start * HASH_BYTES, end * HASH_BYTES));
      root = root === undefined ? subtree : nodeHash(subtree, root);
      end = start;
    }
  }
  return root ?? emptyRoot();
}

/** The partial tiles of the edge, to be served for a checkpoint of exactly this size. */
export function edgeTiles(edge: Edge): (TileCoordinates & { readonly bytes: Buffer })[] {
  checkEdge(edge);
  return edge.levels
    .map((bytes, level) => ({ level, index: Math.floor(edge.size / TILE_WIDTH ** (level + 1)), width: bytes.length / HASH_BYTES, bytes }))
    .filter(({ width }) => width > 0);
}

/** Refuse an edge whose lengths do not follow from its size, before anything is built on it. */
export function checkEdge(edge: Edge): void {
  checkSize(edge.size);
  let remaining = edge.size;
  for (const [level, hashes] of edge.levels.entries()) {
    const expected = (remaining % TILE_WIDTH) * HASH_BYTES;
    if (hashes.length !== expected)
      throw new LedgerError('ERR_TREE_EDGE', `Level ${level} has ${hashes.length} bytes instead of ${expected} at size ${edge.size}`);
    remaining = Math.floor(remaining / TILE_WIDTH);
  }
  if (remaining > 0) throw new LedgerError('ERR_TREE_EDGE', `Levels above ${edge.levels.length} are missing at size ${edge.size}`);
}
