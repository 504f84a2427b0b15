import type { Client } from '@claviger/client';
import { until } from '@claviger/testing';

export interface LedgerCheck {
  answered: number;
  recorded: number;
  missing: number;
  twice: number;
  ledgerSize: number;
  caughtUpSeconds: number;
}

/** Counts the records of the given requests in the ledger: there must be exactly one for each reply. */
export async function checkLedger(auditor: Client, answered: string[], from: number): Promise<LedgerCheck> {
  const began = performance.now();
  const wanted = new Set(answered);
  const seen = new Map<string, number>();
  let next = from;
  let size = from;
  const read = async () => {
    for (;;) {
      const page = await auditor.audit.entries({ from: next, limit: 1_000 }, { timeoutMs: 20_000 });
      size = page.size;
      for (const line of page.lines) {
        const record = JSON.parse(line) as { kind: string; requestId?: string };
        if (record.kind === 'operation' && record.requestId && wanted.has(record.requestId))
          seen.set(record.requestId, (seen.get(record.requestId) ?? 0) + 1);
      }
      next += page.lines.length;
      if (page.lines.length === 0) return seen.size === wanted.size;
    }
  };
  await until(read, { what: 'the ledger to hold every record', timeoutMs: 120_000, everyMs: 250 }).catch(() => undefined);
  const twice = [...seen.values()].filter((count) => count > 1).length;
  return {
    answered: answered.length,
    recorded: seen.size,
    missing: wanted.size - seen.size,
    twice,
    ledgerSize: size,
    caughtUpSeconds: Number(((performance.now() - began) / 1_000).toFixed(1)),
  };
}
