import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  appendLeaves,
  consistencyProof,
  edgeRoot,
  emptyEdge,
  inclusionProof,
  leafHash,
  nodeHash,
  readEdge,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from '../src/index';
import { flipBit, MemoryLog, referenceRoot } from './memory-log';

const leaves = Array.from({ length: 1_200 }, (_, index) => leafHash(Buffer.from(`entry ${index}`)));
const log = new MemoryLog().append(leaves);
const { readTile } = log;
const size = fc.oneof(fc.integer({ min: 1, max: leaves.length }), fc.constantFrom(1, 2, 255, 256, 257, 511, 512, 513, 1_024));
const roots = new Map<number, Buffer>();
const rootOf = (count: number) =>
  roots.get(count) ?? roots.set(count, count === 0 ? edgeRoot(emptyEdge()) : referenceRoot(leaves.slice(0, count))).get(count)!;

test('append in any portions gives the same edge, the same tiles and the root of RFC 6962', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 600 }), { maxLength: 6 }), (portions) => {
      const inPortions = new MemoryLog();
      let at = 0;
      for (const count of portions) {
        inPortions.append(leaves.slice(at, at + count));
        at = Math.min(leaves.length, at + count);
      }
      const atOnce = new MemoryLog().append(leaves.slice(0, at));
      const order = (a: { level: number; index: number }, b: { level: number; index: number }) => a.level - b.level || a.index - b.index;
      expect(inPortions.edge.size).toBe(at);
      expect(inPortions.edge.levels.filter((level) => level.length > 0)).toEqual(atOnce.edge.levels.filter((level) => level.length > 0));
      expect(inPortions.tiles.toSorted(order)).toEqual(atOnce.tiles);
      expect(edgeRoot(inPortions.edge)).toEqual(rootOf(at));
    }),
    { numRuns: 60 },
  );
});

test('append changes neither its arguments nor an earlier edge', () => {
  const before = appendLeaves(emptyEdge(), leaves.slice(0, 300)).edge;
  const root = edgeRoot(before);
  appendLeaves(before, leaves.slice(300, 900));
  expect(edgeRoot(before)).toEqual(root);
});

test('the edge read back from tiles is the edge that was', async () => {
  await fc.assert(
    fc.asyncProperty(size, async (count) => {
      expect(edgeRoot(await readEdge(count, readTile))).toEqual(rootOf(count));
      expect(await treeRoot(count, readTile)).toEqual(rootOf(count));
    }),
  );
});

test('every inclusion proof verifies; with any bit, index, size or length changed it does not', async () => {
  await fc.assert(
    fc.asyncProperty(size, fc.nat(), fc.nat(), fc.nat(), async (count, pick, bit, which) => {
      const index = pick % count;
      const claim = {
        index,
        size: count,
        leafHash: leaves[index]!,
        proof: await inclusionProof(index, count, readTile),
        root: rootOf(count),
      };
      expect(verifyInclusion(claim)).toBe(true);
      const { proof } = claim;
      expect(verifyInclusion({ ...claim, leafHash: flipBit(claim.leafHash, bit) })).toBe(false);
      expect(verifyInclusion({ ...claim, root: flipBit(claim.root, bit) })).toBe(false);
      expect(verifyInclusion({ ...claim, proof: [...proof, leaves[0]!] })).toBe(false);
      if (count > 1) expect(verifyInclusion({ ...claim, index: (index + 1) % count })).toBe(false);
      // A root alone does not fix a size, but a size fixes the length of the path.
      expect(verifyInclusion({ ...claim, size: count * 4 })).toBe(false);
      if (proof.length > 0) {
        expect(verifyInclusion({ ...claim, proof: proof.with(which % proof.length, flipBit(proof[which % proof.length]!, bit)) })).toBe(
          false,
        );
        expect(verifyInclusion({ ...claim, proof: proof.slice(1) })).toBe(false);
        expect(verifyInclusion({ ...claim, proof: proof.slice(0, -1) })).toBe(false);
      }
    }),
    { numRuns: 300 },
  );
});

test('every consistency proof verifies; with any bit, size or length changed it does not', async () => {
  await fc.assert(
    fc.asyncProperty(size, fc.nat(), fc.nat(), fc.nat(), async (to, pick, bit, which) => {
      const from = pick % (to + 1);
      const claim = { from, to, fromRoot: rootOf(from), toRoot: rootOf(to), proof: await consistencyProof(from, to, readTile) };
      expect(verifyConsistency(claim)).toBe(true);
      const { proof } = claim;
      expect(verifyConsistency({ ...claim, fromRoot: flipBit(claim.fromRoot, bit) })).toBe(false);
      // Any tree extends the empty one, so only there does the later root prove nothing.
      if (from > 0) expect(verifyConsistency({ ...claim, toRoot: flipBit(claim.toRoot, bit) })).toBe(false);
      expect(verifyConsistency({ ...claim, proof: [...proof, leaves[0]!] })).toBe(false);
      if (from !== to) expect(verifyConsistency({ ...claim, from: to, to: from })).toBe(false);
      if (from > 0) expect(verifyConsistency({ ...claim, to: to * 4 })).toBe(false);
      if (proof.length > 0) {
        expect(verifyConsistency({ ...claim, proof: proof.with(which % proof.length, flipBit(proof[which % proof.length]!, bit)) })).toBe(
          false,
        );
        expect(verifyConsistency({ ...claim, proof: proof.slice(1) })).toBe(false);
        expect(verifyConsistency({ ...claim, proof: proof.slice(0, -1) })).toBe(false);
      }
    }),
    { numRuns: 300 },
  );
});

test('a path longer than its tree is deep is refused, also when it hashes to the root claimed', async () => {
  const extra = leaves[9]!;
  const taller = (root: Buffer) => nodeHash(extra, root);
  const inclusion = { index: 2, size: 3, leafHash: leaves[2]!, proof: await inclusionProof(2, 3, readTile), root: rootOf(3) };
  expect(verifyInclusion({ ...inclusion, proof: [...inclusion.proof, extra], root: taller(inclusion.root) })).toBe(false);
  const consistency = { from: 3, to: 7, fromRoot: rootOf(3), toRoot: rootOf(7), proof: await consistencyProof(3, 7, readTile) };
  const longer = { proof: [...consistency.proof, extra], fromRoot: taller(consistency.fromRoot), toRoot: taller(consistency.toRoot) };
  expect(verifyConsistency({ ...consistency, ...longer })).toBe(false);
});

test('verification of hostile claims is false, never an exception', () => {
  const hash = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constant(leaves[0]!));
  const number = fc.oneof(fc.double(), fc.integer({ min: -2, max: 5 }), fc.constant(Number.MAX_SAFE_INTEGER));
  fc.assert(
    fc.property(number, number, hash, hash, fc.array(hash, { maxLength: 70 }), (a, b, x, y, proof) => {
      fc.pre(a !== b);
      expect(verifyInclusion({ index: a, size: b, leafHash: x, root: flipBit(leaves[1]!, 3), proof })).toBe(false);
      if (a !== 0) expect(verifyConsistency({ from: a, to: b, fromRoot: x, toRoot: y, proof: proof.slice(0, 1) })).toBe(false);
    }),
  );
});

test('proofs of a log of 2^40 entries need no more tiles than levels allow', async () => {
  const read: string[] = [];
  const proof = await inclusionProof(2 ** 39 + 12_345, 2 ** 40 + 3, async (level, index, width) => {
    read.push(`${level}/${index}`);
    return Buffer.alloc(width * 32);
  });
  expect(proof.length).toBe(41);
  expect(new Set(read).size).toBe(read.length);
  expect(read.length).toBeLessThanOrEqual(8);
});

test('indices and sizes outside the tree are refused', async () => {
  for (const index of [-1, 8, 1.5, Number.NaN])
    expect(() => inclusionProof(index, 8, readTile)).toThrow(expect.objectContaining({ code: 'ERR_TREE_RANGE' }));
  expect(() => consistencyProof(9, 8, readTile)).toThrow(expect.objectContaining({ code: 'ERR_TREE_RANGE' }));
  await expect(treeRoot(2 ** 53, readTile)).rejects.toMatchObject({ code: 'ERR_TREE_RANGE' });
});

test('an edge that does not fit its size, and a tile of another length, are refused', async () => {
  expect(() => edgeRoot({ size: 2, levels: [leaves[0]!] })).toThrow(expect.objectContaining({ code: 'ERR_TREE_EDGE' }));
  expect(() => edgeRoot({ size: 256, levels: [Buffer.alloc(0)] })).toThrow(expect.objectContaining({ code: 'ERR_TREE_EDGE' }));
  expect(() => appendLeaves(emptyEdge(), [Buffer.alloc(31)])).toThrow(expect.objectContaining({ code: 'ERR_HASH_LENGTH' }));
  await expect(inclusionProof(0, leaves.length + 1, readTile)).rejects.toMatchObject({ code: 'ERR_TILE' });
});

test('what the tile store throws reaches the caller unchanged: unknown is not absent', async () => {
  const down = new Error('store down');
  await expect(inclusionProof(0, 8, () => Promise.reject(down))).rejects.toBe(down);
});
