import { type Edge } from './edge';
import { LedgerError } from './errors';
import { HASH_BYTES, perfectRoot } from './hashing';
import { type Subtree } from './subtrees';
import { TILE_WIDTH, tileWidth } from './tile';

/**
 * Port: the first `width` hashes of a tile, exactly `width * 32` bytes. It rejects when it cannot tell (store down, tile missing);
 * the rejection reaches the caller of the proof unchanged. Called concurrently, once per tile and proof.
 */
export type ReadTile = (level: number, index: number, width: number) => Promise<Buffer>;

/** A reader over a store of full tiles and the current edge. It answers for every tree size up to the edge's, also for older, narrower tiles. */
export function tileReader(edge: Edge, readFullTile: (level: number, index: number) => Promise<Buffer>): ReadTile {
  return async (level, index, width) => {
    const isFull = tileWidth(level, index, edge.size) === TILE_WIDTH;
    const bytes = isFull ? await readFullTile(level, index) : (edge.levels[level] ?? Buffer.alloc(0));
    return bytes.subarray(0, width * HASH_BYTES);
  };
}

/** Roots of perfect subtrees of a tree of `size` entries, in the order asked. Each tile is read once, all of them in parallel. */
export async function readSubtreeRoots(subtrees: readonly Subtree[], size: number, readTile: ReadTile): Promise<Buffer[]> {
  const tiles = new Map<string, Promise<Buffer>>();
  return Promise.all(
    subtrees.map(async ({ level, index }) => {
      const tileLevel = Math.floor(level / 8);
      const hashes = 2 ** (level % 8);
      const tileIndex = Math.floor((index * hashes) / TILE_WIDTH);
      const start = (index * hashes - tileIndex * TILE_WIDTH) * HASH_BYTES;
      const key = `${tileLevel}/${tileIndex}`;
      const tile = tiles.get(key) ?? readCheckedTile(tileLevel, tileIndex, size, readTile);
      tiles.set(key, tile);
      return perfectRoot((await tile).subarray(start, start + hashes * HASH_BYTES));
    }),
  );
}

/** The tile as it was at `size`, or `ERR_TILE` when the reader answers with another length. */
export async function readCheckedTile(level: number, index: number, size: number, readTile: ReadTile): Promise<Buffer> {
  const width = tileWidth(level, index, size);
  const bytes = await readTile(level, index, width);
  if (bytes.length !== width * HASH_BYTES) {
    throw new LedgerError('ERR_TILE', `Tile ${level}/${index} has ${bytes.length} bytes instead of ${width * HASH_BYTES} at size ${size}`);
  }
  return bytes;
}
