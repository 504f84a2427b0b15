import type { Client } from '@claviger/client';
import type { OperationRecord, Receipt } from '@claviger/contracts';
import { until } from '@claviger/testing';
import { verifyLedger } from '../demo/ledger-verification';

export interface LedgerRecord {
  kind: string;
  id: string;
  [field: string]: unknown;
}

/** Every leaf of the ledger, read as it was hashed. */
export interface Ledger {
  records: LedgerRecord[];
  /** The record that a receipt names. */
  at(receipt: Receipt): LedgerRecord | undefined;
}

const batchOf = ({ worker, epoch, seq }: Pick<Receipt, 'worker' | 'epoch' | 'seq'>) => `${worker} ${epoch} ${seq}`;

export async function readLedger(auditor: Client): Promise<Ledger> {
  const records: LedgerRecord[] = [];
  const batches = new Map<string, LedgerRecord[]>();
  let open: LedgerRecord[] = [];
  for (let from = 0, size = 1; from < size; ) {
    const page = await auditor.audit.entries({ from, limit: 1_000 });
    for (const line of page.lines) {
      const leaf = JSON.parse(line) as LedgerRecord & { worker: string; epoch: string; seq: number };
      if (leaf.kind !== 'batch') {
        open.push(leaf);
        continue;
      }
      batches.set(batchOf(leaf), open);
      records.push(...open);
      open = [];
    }
    from += page.lines.length;
    size = page.lines.length === 0 ? 0 : page.size;
  }
  return { records, at: (receipt) => batches.get(batchOf(receipt))?.[receipt.index] };
}

/** The ledger, once it holds what `receipts` name. */
export async function ledgerWith(auditor: Client, receipts: readonly Receipt[]): Promise<Ledger> {
  return until(
    async () => {
      const ledger = await readLedger(auditor);
      return receipts.every((receipt) => ledger.at(receipt) !== undefined) && ledger;
    },
    { what: `the ledger to hold ${receipts.length} records`, timeoutMs: 30_000, everyMs: 200 },
  );
}

export const operationsOf = ({ records }: Ledger): OperationRecord[] =>
  records.filter((r) => r.kind === 'operation') as unknown as OperationRecord[];

/**
 * The end of every fault test: the whole ledger, up to a checkpoint that is signed after now, verifies with public keys only, no record is in it
 * twice, and audit has found nothing wrong with what it was given.
 */
export async function verifyWholeLedger(auditor: Client, trustFile: string): Promise<Ledger> {
  const { receipt } = await auditor.audit.checkpoint({});
  const ledger = await ledgerWith(auditor, receipt ? [receipt] : []);
  const { size } = await auditor.audit.entries({ from: 0, limit: 1 });
  await until(async () => (await auditor.audit.checkpoint({})).size >= size, { what: 'a checkpoint of it all', timeoutMs: 30_000 });
  await verifyLedger(auditor, trustFile);
  const seen = new Set<string>();
  for (const { id } of ledger.records) {
    if (id !== undefined && seen.has(id)) throw new Error(`record ${id} is in the ledger twice`);
    seen.add(id);
  }
  const findings = ledger.records.filter(({ kind }) => kind === 'finding');
  if (findings.length > 0) throw new Error(`audit found: ${JSON.stringify(findings.slice(0, 3))}`);
  return ledger;
}
