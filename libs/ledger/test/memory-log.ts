import { readFileSync } from 'node:fs';
import { appendLeaves, type Edge, emptyEdge, type FullTile, nodeHash, type ReadTile, tileReader } from '../src/index';

/** A log with its full tiles in memory: what the audit service keeps in its store. */
export class MemoryLog {
  edge: Edge = emptyEdge();
  readonly tiles: FullTile[] = [];

  append(leafHashes: readonly Buffer[]): this {
    const appended = appendLeaves(this.edge, leafHashes);
    this.edge = appended.edge;
    this.tiles.push(...appended.tiles);
    return this;
  }

  get readTile(): ReadTile {
    const stored = new Map(this.tiles.map((tile) => [`${tile.level}/${tile.index}`, tile.bytes]));
    return tileReader(this.edge, async (level, index) => {
      const bytes = stored.get(`${level}/${index}`);
      if (bytes === undefined) throw new Error(`no tile ${level}/${index}`);
      return bytes;
    });
  }
}

/** RFC 6962 §2.1 word for word, the slow way: what the tiles are compared with. */
export function referenceRoot(leafHashes: readonly Buffer[]): Buffer {
  if (leafHashes.length === 1) return leafHashes[0]!;
  let split = 1;
  while (split * 2 < leafHashes.length) split *= 2;
  return nodeHash(referenceRoot(leafHashes.slice(0, split)), referenceRoot(leafHashes.slice(split)));
}

export const fixture = (name: string) => JSON.parse(readFileSync(`${import.meta.dirname}/fixtures/${name}`, 'utf8'));

/** `bytes` with one bit changed. */
export function flipBit(bytes: Uint8Array, bit: number): Buffer {
  const flipped = Buffer.from(bytes);
  const at = bit % (bytes.length * 8);
  flipped[at >> 3]! ^= 1 << (at & 7);
  return flipped;
}
