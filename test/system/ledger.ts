import type { Client } from '@claviger/client';
import type { OperationRecord, Receipt } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { verifyLedger } from '../demo/ledger-verification';

export interface LedgerRecord {
  kind: string;
  id: string;
  [field: string]: unknown;
}

type BatchName = Pick<Receipt, 'worker' | 'epoch' | 'seq'>;
const nameOf = ({ worker, epoch, seq }: BatchName) => `${worker} ${epoch} ${seq}`;

/** Every leaf of the ledger as it was hashed, read on from where the last reading ended. */
export class LedgerCopy {
  readonly records: LedgerRecord[] = [];
  private readonly batches = new Map<string, LedgerRecord[]>();
  private open: LedgerRecord[] = [];
  private size = 0;

  constructor(private readonly auditor: Client) {}

  async readOn(): Promise<this> {
    for (;;) {
      const { lines, size } = await this.auditor.audit.entries({ from: this.size, limit: 1_000 });
      for (const line of lines) this.add(JSON.parse(line));
      this.size += lines.length;
      if (this.size >= size) return this;
    }
  }

  /** The record that a receipt names. */
  at(receipt: Receipt): LedgerRecord | undefined {
    return this.batches.get(nameOf(receipt))?.[receipt.index];
  }

  get operations(): OperationRecord[] {
    return this.records.filter((r) => r.kind === 'operation') as unknown as OperationRecord[];
  }

  /** Resolves once it holds what the receipts name. */
  async with(receipts: readonly Receipt[]): Promise<this> {
    await until(async () => (await this.readOn()) && receipts.every((receipt) => this.at(receipt)), {
      what: `the ledger to hold ${receipts.length} records`,
      timeoutMs: 60_000,
      everyMs: 100,
    });
    return this;
  }

  /**
   * The end of every fault test: the whole ledger, up to a checkpoint that is signed after now, verifies with public keys only, no record is in it
   * twice, and audit has found nothing wrong with what it was given. With `bySweepsTwice`
   * what two processes found undone may have its record from both, under one id: ids are what counts (ADR 15).
   */
  async verify(trustFile: string, { bySweepsTwice = false } = {}): Promise<this> {
    const { receipt } = await this.auditor.audit.checkpoint({});
    await this.with(receipt ? [receipt] : []);
    const { size } = this;
    await until(async () => (await this.auditor.audit.checkpoint({})).size >= size, { what: 'a checkpoint of it all', timeoutMs: 30_000 });
    await verifyLedger(this.auditor, trustFile);
    const seen = new Set<string>();
    for (const { id, kind } of this.records) {
      if (id !== undefined && seen.has(id) && !(bySweepsTwice && (kind === 'committed' || kind === 'destruction')))
        throw new Error(`record ${id} is in the ledger twice`);
      seen.add(id);
    }
    const findings = this.records.filter(({ kind }) => kind === 'finding');
    if (findings.length > 0) throw new Error(`audit found: ${JSON.stringify(findings.slice(0, 3))}`);
    return this;
  }

  private add(leaf: LedgerRecord & BatchName): void {
    if (leaf.kind !== 'batch') {
      this.open.push(leaf);
      return;
    }
    this.batches.set(nameOf(leaf), this.open);
    this.records.push(...this.open);
    this.open = [];
  }
}
