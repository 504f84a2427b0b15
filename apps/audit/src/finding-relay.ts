import { FindingRecord } from '@claviger/contracts';
import { type OutboxPage, OutboxRelay, type OutboxSource } from '@claviger/messaging';
import type { LoggerService } from '@nestjs/common';
import type { Collection, Db } from 'mongodb';
import { leavesOf } from './documents';
import { type Head, headPosition } from './head';
import { LedgerEvents } from './ledger-events';
import { isDuplicate, LedgerStore } from './ledger-store';
import { parseRecord } from './record-index';

/** The entries with findings are the outbox; how far they were published is one number. */
interface Watermark {
  readonly _id: 'findings';
  readonly position: number;
  readonly published: number;
}
type FindingLeaf = { index: number; record: FindingRecord };

/** Publishes every finding that the ledger holds, at least once, in the order of the leaves: what a crash left out comes with the next sweep. */
export function findingRelay(
  db: Db,
  store: LedgerStore,
  events: Pick<LedgerEvents, 'finding'>,
  head: () => Head | undefined,
  logger: LoggerService,
): OutboxRelay<FindingLeaf[]> {
  return new OutboxRelay(new CommittedFindings(db.collection('relay'), store, head), ({ entry }) => publish(events, entry), logger);
}

class CommittedFindings implements OutboxSource<FindingLeaf[]> {
  private watermark: Watermark | undefined;

  constructor(
    private readonly marks: Collection<Watermark>,
    private readonly store: LedgerStore,
    private readonly head: () => Head | undefined,
  ) {}

  async pending(limit: number): Promise<OutboxPage<FindingLeaf[]>> {
    const head = this.head();
    if (!head) return { items: [] };
    this.watermark ??= await this.read();
    if (head.findings === this.watermark.published) return { items: [] };
    const entries = await this.store.entries
      .find({ _id: { $gt: this.watermark.position, $lte: headPosition(head) }, findings: { $gt: 0 } })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray();
    const items = entries.map((entry) => ({
      // One for all: an entry that cannot be published keeps the later ones waiting, since the watermark would pass it.
      aggregateId: 'findings',
      entryId: `${entry._id}/${entry.findings}`,
      // The findings of an entry are its first leaves.
      entry: leavesOf(entry)
        .slice(0, entry.findings)
        .map((leaf, n) => ({ index: entry.firstIndex + n, record: FindingRecord.parse(parseRecord(leaf)) })),
    }));
    return { items };
  }

  async remove(_aggregateId: string, [entryId = '']: string[]): Promise<void> {
    const [position, findings] = entryId.split('/');
    const from = this.watermark ?? (await this.read());
    const to = { ...from, position: Number(position), published: from.published + Number(findings) };
    const { matchedCount } = await this.marks.replaceOne({ _id: 'findings', position: from.position }, to);
    // Another process published them as well: the events were the same.
    this.watermark = matchedCount === 1 ? to : undefined;
    if (!this.watermark) throw new Error('another audit process publishes findings too');
  }

  private async read(): Promise<Watermark> {
    const held = await this.marks.findOne({ _id: 'findings' });
    if (held) return held;
    await this.marks.insertOne({ _id: 'findings', position: -1, published: 0 }).catch((error: unknown) => {
      if (!isDuplicate(error)) throw error;
    });
    return this.read();
  }
}

async function publish(events: Pick<LedgerEvents, 'finding'>, leaves: FindingLeaf[]): Promise<void> {
  for (const { index, record } of leaves) {
    const { id, time, finding, detail, streamSeq, worker } = record;
    await events.finding(id, time, { finding, detail, streamSeq, index, ...(worker ? { worker } : {}) });
  }
}
