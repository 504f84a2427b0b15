import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { FullTile } from '@claviger/ledger';
import { Binary } from 'mongodb';
import type { Entry } from './fold';
import type { ChainState, Head } from './head';

/** What the collections hold. Integers stay below 2^53, which the store keeps as doubles. */
export interface EntryDocument extends Omit<Entry, 'position' | 'bytes' | 'batchHash' | 'traces'> {
  readonly _id: number;
  readonly term: number;
  /** zstd: records are a fifth of their size, for a tenth of the time that hashing and parsing them takes. */
  readonly zstd: Binary;
  readonly batchHash?: Binary;
  /** Absent rather than empty: its index is sparse. */
  readonly traces?: readonly string[];
}
export interface TileDocument {
  /** `level/index`. */
  readonly _id: string;
  readonly term: number;
  readonly bytes: Binary;
}
export interface ChainDocument {
  /** `chain@position`: what a chain was when it left the head. Written once, never changed. */
  readonly _id: string;
  readonly term: number;
  readonly chain: string;
  readonly position: number;
  readonly seq: number;
  readonly prev: Binary;
  readonly publicKey: Binary;
  readonly lastTime: string;
}
export interface HeadDocument {
  readonly _id: 'log';
  readonly revision: number;
  readonly term: number;
  readonly rules: string;
  readonly size: number;
  readonly edge: readonly Binary[];
  readonly root: Binary;
  readonly life: number;
  readonly streamSeq: number;
  readonly digest: Binary;
  readonly time: string;
  readonly findings: number;
  readonly chains: readonly Omit<ChainDocument, '_id' | 'term'>[];
}

export const entryDocument = ({ position, bytes, batchHash, traces, ...rest }: Entry, term: number): EntryDocument => ({
  _id: position,
  term,
  ...rest,
  zstd: new Binary(zstdCompressSync(bytes)),
  ...(batchHash ? { batchHash: new Binary(batchHash) } : {}),
  ...(traces.length > 0 ? { traces } : {}),
});

/** The leaves of an entry, as views on one buffer. */
export function leavesOf({ zstd, count }: Pick<EntryDocument, 'zstd' | 'count'>): Buffer[] {
  if (count === 0) return [];
  const bytes = zstdDecompressSync(zstd.buffer);
  const leaves: Buffer[] = [];
  for (let start = 0; start <= bytes.length; ) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline === -1 ? bytes.length : newline;
    leaves.push(bytes.subarray(start, end));
    start = end + 1;
  }
  if (leaves.length !== count) throw new Error(`an entry of ${leaves.length} leaves says that it has ${count}: the store was changed`);
  return leaves;
}

export const tileDocument = ({ level, index, bytes }: FullTile, term: number): TileDocument => ({
  _id: `${level}/${index}`,
  term,
  bytes: new Binary(bytes),
});

export const chainDocument = (state: ChainState, term: number): ChainDocument => ({
  _id: `${state.chain}@${state.position}`,
  term,
  ...chainFields(state),
});

export const headDocument = ({ edge, root, digest, chains, ...rest }: Head): HeadDocument => ({
  _id: 'log',
  ...rest,
  size: edge.size,
  edge: edge.levels.map((hashes) => new Binary(hashes)),
  root: new Binary(root),
  digest: new Binary(digest),
  chains: chains.map(chainFields),
});

export const headOf = ({ _id, size, edge, root, digest, chains, ...rest }: HeadDocument): Head => ({
  ...rest,
  edge: { size, levels: edge.map(bytesOf) },
  root: bytesOf(root),
  digest: bytesOf(digest),
  chains: chains.map(chainOf),
});

export const chainOf = ({ chain, position, seq, prev, publicKey, lastTime }: Omit<ChainDocument, '_id' | 'term'>): ChainState => ({
  chain,
  position,
  seq,
  prev: bytesOf(prev),
  publicKey: bytesOf(publicKey),
  lastTime,
});

export const bytesOf = (value: Binary): Buffer => Buffer.from(value.buffer);

const chainFields = ({ prev, publicKey, ...rest }: ChainState) => ({
  ...rest,
  prev: new Binary(prev),
  publicKey: new Binary(publicKey),
});
