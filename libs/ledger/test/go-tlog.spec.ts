import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import {
  consistencyProof,
  edgeRoot,
  edgeTiles,
  entriesPath,
  inclusionProof,
  leafHash,
  parseTilePath,
  tilePath,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from '../src/index';
import { fixture, MemoryLog } from './memory-log';

type Sized = { size: number; root: string };
type Inclusion = { index: number; size: number; proof: string[] };
type Consistency = { from: number; to: number; fromRoot: string; proof: string[] };
type Tile = { level: number; index: number; width: number; path: string; sha256: string };

const vectors = fixture('tlog.json');
const leaves = Array.from({ length: vectors.size }, (_, index) => leafHash(Buffer.from(`claviger leaf ${index}`)));
const log = new MemoryLog().append(leaves);
const { readTile } = log;
const rootAt = new Map((vectors.roots as Sized[]).map(({ size, root }) => [size, Buffer.from(root, 'base64')]));
const base64 = (hashes: Buffer[]) => hashes.map((hash) => hash.toString('base64'));

test('roots are those of golang.org/x/mod/sumdb/tlog', async () => {
  for (const [size, root] of rootAt) expect(await treeRoot(size, readTile)).toEqual(root);
  expect(edgeRoot(log.edge)).toEqual(rootAt.get(vectors.size));
});

test('inclusion proofs are those of tlog.ProveRecord, and verify', async () => {
  for (const { index, size, proof } of vectors.inclusion as Inclusion[]) {
    const made = await inclusionProof(index, size, readTile);
    expect(base64(made)).toEqual(proof);
    expect(verifyInclusion({ index, size, leafHash: leaves[index]!, proof: made, root: rootAt.get(size)! })).toBe(true);
  }
});

test('consistency proofs are those of tlog.ProveTree, and verify', async () => {
  for (const { from, to, fromRoot, proof } of vectors.consistency as Consistency[]) {
    const made = await consistencyProof(from, to, readTile);
    expect(base64(made)).toEqual(proof);
    expect(verifyConsistency({ from, to, fromRoot: Buffer.from(fromRoot, 'base64'), toRoot: rootAt.get(to)!, proof: made })).toBe(true);
  }
});

test('tiles have the bytes and, the height aside, the paths of tlog.Tile', () => {
  const tiles = [...log.tiles.map((tile) => ({ ...tile, width: 256 })), ...edgeTiles(log.edge)];
  const byPath = new Map(tiles.map((tile) => [tilePath(tile), tile.bytes]));
  for (const { path, sha256 } of vectors.tiles as Tile[]) {
    expect(createHash('sha256').update(byPath.get(path)!).digest('hex')).toBe(sha256);
  }
  // 256 full tiles hold 65,536 entries, the first tile of level 1 their roots.
  expect(log.tiles.length).toBe(257 + 1);
});

test('tile paths are those of tlog.Tile.Path, both ways', () => {
  for (const { level, index, width, path } of vectors.paths as Tile[]) {
    if (level < 0) expect(entriesPath(index, width)).toBe(path);
    else {
      expect(tilePath({ level, index, width })).toBe(path);
      expect(parseTilePath(path)).toEqual({ level, index, width });
    }
  }
});
