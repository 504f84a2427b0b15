import type { Client } from '@claviger/client';
import { until } from '@claviger/testing';

export interface LedgerCheck {
  answered: number;
  /** Replies whose record stands where their receipt says. */
  recorded: number;
  missing: number;
  /** Record ids that stand in the ledger more than once. */
  twice: number;
  /** Records of the load whose reply was given up by the client, which then asked again. */
  repeatedByClient: number;
  ledgerSize: number;
  caughtUpSeconds: number;
}

interface Line {
  kind: string;
  id: string;
  requestId?: string;
  worker: string;
  epoch: string;
  seq: number;
}

/** Reads the ledger from `from` on and finds the record of each reply where its receipt says: there must be exactly one for each. */
export async function checkLedger(auditor: Client, answered: string[], from: number): Promise<LedgerCheck> {
  const began = performance.now();
  const wanted = new Set(answered);
  const ids = new Set<string>();
  let found = 0;
  let twice = 0;
  let ofLoad = 0;
  let batch: Line[] = [];
  let next = from;
  let size = from;
  const take = (line: Line) => {
    if (line.kind !== 'batch') return batch.push(line);
    batch.forEach(({ id, requestId }, index) => {
      if (!requestId?.startsWith('bench-')) return;
      ofLoad++;
      if (ids.has(id)) twice++;
      ids.add(id);
      if (wanted.has(`${requestId} ${line.worker} ${line.epoch} ${line.seq} ${index}`)) found++;
    });
    batch = [];
  };
  const read = async () => {
    for (;;) {
      const page = await auditor.audit.entries({ from: next, limit: 1_000 }, { timeoutMs: 20_000 });
      size = page.size;
      for (const line of page.lines) take(JSON.parse(line) as Line);
      next += page.lines.length;
      if (page.lines.length === 0) return found === wanted.size;
    }
  };
  await until(read, { what: 'the ledger to hold every record', timeoutMs: 120_000, everyMs: 250 }).catch(() => undefined);
  return {
    answered: answered.length,
    recorded: found,
    missing: wanted.size - found,
    twice,
    repeatedByClient: ofLoad - found,
    ledgerSize: size,
    caughtUpSeconds: Number(((performance.now() - began) / 1_000).toFixed(1)),
  };
}
