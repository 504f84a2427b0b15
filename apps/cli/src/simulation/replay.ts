import { addTally, type ChangedDecision, emptyTally, type Tally } from './changed-decisions';
import type { LedgerSource } from './ledger-source';
import type { ShardThread } from './shard-thread';

export interface ReplayProgress {
  readonly index: number;
  readonly size: number | undefined;
  readonly tally: Tally;
}
export interface Replay {
  readonly source: LedgerSource;
  readonly shards: readonly ShardThread[];
  /** First leaf that is read: sessions from here on. */
  readonly from: number;
  /** Of an interrupted run. */
  readonly before?: Tally;
  /** Called now and then with all that was found up to an index, which a later run can go on from. */
  readonly reached: (progress: ReplayProgress) => void;
}

/** Leaves between two reports of progress. */
const reportEvery = 50_000;

/** Gives each record to the shard of its principal and key, so that no decision is asked for in two; sessions to all. Memory is what is distinct. */
export async function replay({ source, shards, from, before, reached }: Replay): Promise<{ tally: Tally; leaves: number; next: number }> {
  const all = before ?? emptyTally();
  let leaves = 0;
  let next = from;
  let sinceReport = 0;
  const drain = async () => {
    for (const found of await Promise.all(shards.map((shard) => shard.drain()))) addTally(all, found);
  };
  for await (const { from: first, lines, size } of source.pages(from)) {
    const batches = shards.map(() => ({ lines: [] as string[], indexes: [] as number[] }));
    lines.forEach((line, at) => {
      const put = (batch: { lines: string[]; indexes: number[] }) => {
        batch.lines.push(line);
        batch.indexes.push(first + at);
      };
      if (line.startsWith('{"kind":"operation",')) put(batches[shardOf(line, shards.length)]!);
      else if (line.startsWith('{"kind":"session",')) for (const batch of batches) put(batch);
    });
    await Promise.all(
      batches.map(({ lines: some, indexes }, at) =>
        some.length === 0 ? undefined : shards[at]!.send({ lines: some.join('\n'), indexes }),
      ),
    );
    leaves += lines.length;
    next = first + lines.length;
    sinceReport += lines.length;
    if (sinceReport < reportEvery) continue;
    sinceReport = 0;
    await drain();
    reached({ index: next, size, tally: all });
  }
  await drain();
  reached({ index: next, size: next, tally: all });
  return { tally: all, leaves, next };
}

/** By principal and key, found without parsing: the same text is the same shard, which is all that is needed. */
function shardOf(line: string, shards: number): number {
  let hash = 0;
  for (const field of ['"principal":"', '"keyId":"']) {
    const start = line.indexOf(field);
    if (start < 0) continue;
    for (let at = start + field.length; at < line.length && line.charCodeAt(at) !== 34; at += 1)
      hash = (Math.imul(hash, 31) + line.charCodeAt(at)) | 0;
  }
  return (hash >>> 0) % shards;
}

/** The most frequent first. */
export const mostFrequent = ({ changed }: Tally): ChangedDecision[] =>
  [...changed.values()].sort((a, b) => b.count - a.count || a.first - b.first);
