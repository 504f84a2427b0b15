import { createHash } from 'node:crypto';
import { appendLeaves, edgeRoot, type FullTile, leafHash } from '@claviger/ledger';
import { type Admitting, admit, type Verdict } from './admit';
import { type Finding, type FindingLine, findingLine } from './finding';
import { type ChainState, type Head, maxActiveChains } from './head';
import { positionOf } from './position';
import type { EntryIndex } from './record-index';
import type { StreamMessage } from './stream-message';

/** What one message became: its leaves, joined with newlines, and what can be asked of them. A replay has none. */
export interface Entry extends EntryIndex {
  readonly position: number;
  readonly firstIndex: number;
  readonly count: number;
  readonly bytes: Buffer;
  readonly findings: number;
  /** `service/worker/epoch/seq` and batch hash, of an accepted batch. */
  readonly batch?: string;
  readonly batchHash?: Buffer;
}

/** The next head and everything that must be stored before it. */
export interface Step {
  readonly head: Head;
  readonly entries: readonly Entry[];
  readonly tiles: readonly FullTile[];
  /** Chains that left the head, as they were at their last batch. */
  readonly retired: readonly ChainState[];
  /** `traceparent` of each appended record that is traced. */
  readonly sampled: readonly string[];
  readonly replays: number;
}

export type Rules = Pick<Admitting, 'certifiers' | 'mayCertify' | 'keyOf'>;
/** Committed facts that the head does not hold, read beforehand for the messages at hand. */
export interface Recalled {
  /** Chains that had left the head. */
  readonly chains: readonly ChainState[];
  /** Batch hash by `service/worker/epoch/seq`. */
  readonly batches: ReadonlyMap<string, Buffer>;
}

/**
 * Appends messages of the stream, in its order. A pure function of head, messages and rules: the same messages in other portions give the
 * same entries, tiles and, at the end, the same head but for its revision. A sequence that is not there is missing in the stream for
 * certain: the caller has asked.
 */
export function fold(head: Head, messages: readonly StreamMessage[], rules: Rules, recalled: Recalled): Step {
  const chains = new Map(head.chains.map((state) => [state.chain, state]));
  const former = new Map(recalled.chains.map((state) => [state.chain, state]));
  const batches = new Map(recalled.batches);
  const retired: ChainState[] = [];
  const entries: Entry[] = [];
  const leaves: Buffer[] = [];
  const sampled: string[] = [];
  let { streamSeq, findings } = head;
  let replays = 0;
  for (const message of messages) {
    const position = positionOf(head.life, message.seq);
    const verdict = admit(message, {
      ...rules,
      chainOf: (chain) => chains.get(chain) ?? former.get(chain),
      heldBatch: (batch) => batches.get(batch),
    });
    const lines = findingsOf(verdict, streamSeq, message).map((f, n) =>
      findingLine(f, { life: head.life, streamSeq: message.seq, time: message.time }, n),
    );
    const entry = entryOf(verdict, lines, { position, firstIndex: head.edge.size + leaves.length, message });
    entries.push(entry);
    for (const { line } of lines) leaves.push(leafHash(Buffer.from(line)));
    if (verdict.kind === 'accepted') {
      for (const line of verdict.batch.lines) leaves.push(leafHash(line));
      chains.set(verdict.next.chain, { ...verdict.next, position });
      batches.set(verdict.id, verdict.batch.batchHash);
      if (chains.size > maxActiveChains) retired.push(retireOldest(chains, former));
      sampled.push(...verdict.records.sampled);
    }
    if (verdict.kind === 'replay') replays++;
    findings += lines.length;
    streamSeq = message.seq;
  }
  const { edge, tiles } = appendLeaves(head.edge, leaves);
  return {
    head: moved(head, { edge, streamSeq, findings, chains: [...chains.values()] }, messages),
    entries,
    tiles,
    retired,
    sampled,
    replays,
  };
}

/** The stream is not the one that was read: the finding becomes a leaf, and reading starts anew in the stream's next life. What comes again is a replay. */
export function foldNewLife(head: Head, finding: Finding): Step {
  const life = head.life + 1;
  const line = findingLine(finding, { life, streamSeq: head.streamSeq, time: head.time }, 0);
  const { edge, tiles } = appendLeaves(head.edge, [leafHash(Buffer.from(line.line))]);
  const entry: Entry = {
    position: positionOf(life, 0),
    firstIndex: head.edge.size,
    count: 1,
    bytes: Buffer.from(line.line),
    findings: 1,
    ...indexOf([line]),
  };
  const next = { ...moved(head, { edge, streamSeq: 0, findings: head.findings + 1, chains: head.chains }, []), life };
  return { head: next, entries: [entry], tiles, retired: [], sampled: [], replays: 0 };
}

function findingsOf(verdict: Verdict, after: number, { seq }: StreamMessage): Finding[] {
  const missing = seq - after - 1;
  const gap: Finding[] = missing > 0 ? [{ finding: 'stream-gap', detail: `${missing} messages from ${after + 1} on` }] : [];
  return verdict.kind === 'replay' ? gap : [...gap, ...verdict.findings];
}

function entryOf(
  verdict: Verdict,
  lines: readonly FindingLine[],
  at: { position: number; firstIndex: number; message: StreamMessage },
): Entry {
  const { position, firstIndex } = at;
  const own = indexOf(lines);
  const text = lines.map(({ line }) => line).join('\n');
  if (verdict.kind !== 'accepted')
    return { position, firstIndex, count: lines.length, bytes: Buffer.from(text), findings: lines.length, ...own };
  const { batch, id, records } = verdict;
  // The batch as it was sent: its bytes are its lines.
  const sent = Buffer.from(at.message.data.buffer, at.message.data.byteOffset, at.message.data.length);
  return {
    position,
    firstIndex,
    count: lines.length + batch.lines.length,
    bytes: lines.length > 0 ? Buffer.concat([Buffer.from(`${text}\n`), sent]) : sent,
    findings: lines.length,
    batch: id,
    batchHash: batch.batchHash,
    ...records.index,
    kinds: [...records.index.kinds, ...own.kinds],
    ...rangeOf([records.index, own]),
  };
}

function indexOf(lines: readonly FindingLine[]): EntryIndex {
  const times = lines.map(({ record }) => ({ from: record.time, to: record.time }));
  return {
    keys: [],
    principals: [],
    actions: [],
    outcomes: [],
    kinds: lines.length > 0 ? ['finding'] : [],
    traces: [],
    ...rangeOf(times),
  };
}

/** Times have one fixed form, so that text order is time order. */
function rangeOf(ranges: readonly { from?: string; to?: string }[]): { from?: string; to?: string } {
  const from = ranges.flatMap((range) => range.from ?? []).sort()[0];
  const to = ranges
    .flatMap((range) => range.to ?? [])
    .sort()
    .at(-1);
  return from !== undefined && to !== undefined ? { from, to } : {};
}

/** One in, one out: which chain leaves depends on the messages alone, not on how they were portioned. */
function retireOldest(chains: Map<string, ChainState>, former: Map<string, ChainState>): ChainState {
  const oldest = [...chains.values()].reduce((a, b) => (a.position < b.position ? a : b));
  chains.delete(oldest.chain);
  former.set(oldest.chain, oldest);
  return oldest;
}

function moved(head: Head, to: Pick<Head, 'edge' | 'streamSeq' | 'findings' | 'chains'>, messages: readonly StreamMessage[]): Head {
  const last = messages.at(-1);
  return {
    ...head,
    ...to,
    revision: head.revision + 1,
    root: edgeRoot(to.edge),
    ...(last ? { digest: createHash('sha256').update(last.data).digest(), time: last.time } : {}),
  };
}

/** What must be recalled from the store for these messages: chains that the head does not know, batches that may have come before. */
export function wanted(head: Head, seals: readonly { chain: string; seq: number }[]): { chains: string[]; batches: string[] } {
  const known = new Map(head.chains.map(({ chain, seq }) => [chain, seq]));
  const chains = new Set(seals.filter(({ chain }) => !known.has(chain)).map(({ chain }) => chain));
  const batches = new Set(
    seals.filter(({ chain, seq }) => seq < (known.get(chain) ?? Number.POSITIVE_INFINITY)).map(({ chain, seq }) => `${chain}/${seq}`),
  );
  return { chains: [...chains], batches: [...batches] };
}
