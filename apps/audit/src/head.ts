import { type Edge, emptyEdge, emptyRoot } from '@claviger/ledger';
import { positionOf } from './position';

/** Where one chain of batches stands. */
export interface ChainState {
  /** `service/worker/epoch`. */
  readonly chain: string;
  /** Of the batch that comes next. */
  readonly seq: number;
  /** Batch hash of the last one, 32 bytes. */
  readonly prev: Buffer;
  /** SubjectPublicKeyInfo that a trusted token key certified. */
  readonly publicKey: Buffer;
  /** Newest record time seen, RFC 3339 with milliseconds; empty before the first. */
  readonly lastTime: string;
  /** Position of the chain's last batch. */
  readonly position: number;
}

/** The committed state of the ledger: everything else in the store is either below it or not yet true. */
export interface Head {
  /** Raised by each move; what the compare-and-set compares. */
  readonly revision: number;
  /** Raised when sequencers with other rules take over: what was written under a lower term and never committed may be replaced. */
  readonly term: number;
  /** `rulesName` of the sequencers of this term. */
  readonly rules: string;
  readonly edge: Edge;
  readonly root: Buffer;
  readonly life: number;
  /** Last message of the stream that the ledger holds; 0 before the first. */
  readonly streamSeq: number;
  /** SHA-256 of that message, to see whether the stream still is the one that was read. */
  readonly digest: Buffer;
  /** When the broker stored that message. */
  readonly time: string;
  readonly findings: number;
  /** The most recently active chains, at most `maxActiveChains`, in no order that means anything. */
  readonly chains: readonly ChainState[];
}

/** More than this many live processes cost a look-up per change of chain, nothing else; each costs 300 bytes in every write of the head. */
export const maxActiveChains = 256;

export const emptyHead = (rules: string): Head => ({
  revision: 0,
  term: 0,
  rules,
  edge: emptyEdge(),
  root: emptyRoot(),
  life: 0,
  streamSeq: 0,
  digest: Buffer.alloc(32),
  time: '1970-01-01T00:00:00.000Z',
  findings: 0,
  chains: [],
});

export const headPosition = ({ life, streamSeq }: Head): number => positionOf(life, streamSeq);
