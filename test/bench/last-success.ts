import type { Client } from '@claviger/client';
import { until } from '@claviger/testing';

/** Which uses are meant. */
export interface Uses {
  action: string;
  keyId?: string;
  principal?: string;
}

/** Time of the newest success in the ledger, once the ledger has taken in what was recorded up to `upTo`; milliseconds since 1970-01-01 UTC. */
export async function lastRecordedSuccess(auditor: Client, uses: Uses, from: string, upTo: number): Promise<number | undefined> {
  // The auditor's own query is recorded too; when the ledger shows a later record everything before it is there.
  const caughtUp = async () => {
    const { records: newest } = await auditor.audit.query({ limit: 1 });
    return Date.parse(String(newest[0]?.record.time ?? 0)) > upTo + 200;
  };
  await until(caughtUp, { what: 'the ledger to hold what was recorded before', timeoutMs: 60_000, everyMs: 50 });
  const { records } = await auditor.audit.query({ ...uses, outcome: 'success', from, limit: 1 });
  const time = records[0]?.record.time;
  return time === undefined ? undefined : Date.parse(String(time));
}

export interface Quantiles {
  p50: number;
  p99: number;
  max: number;
}

export function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

export const quantilesText = ({ p50, p99, max }: Quantiles): string => `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`;
