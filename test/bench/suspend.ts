import type { Client } from '@claviger/client';
import type { Child } from '@claviger/testing';
import { lastRecordedSuccess, type Quantiles, quantiles } from './last-success';

export interface SuspendResult {
  trials: number;
  workers: number;
  concurrency: number;
  /** From the command's publish to the last success that any worker recorded, ms. */
  lastSuccessMs: Quantiles;
  /** From the command's publish to its reply with `confirmed`, ms. */
  confirmedMs: Quantiles;
  notConfirmed: number;
  /** Trials in which a success was recorded after the confirmation. */
  successAfterConfirmed: number;
  /** Answers to the load that were neither a success nor ERR_KEY_SUSPENDED. */
  otherErrors: number;
}

export interface SuspendOptions {
  officer: Client;
  auditor: Client;
  /** Says "loaded N." when the load is full, at first and after each SIGUSR2, and "other errors N." when it is stopped; see suspend-load.ts. */
  load: Child;
  keyId: string;
  trials: number;
  concurrency: number;
  workers: number;
}

/**
 * Suspends and resumes one key under a closed-loop load on it. Everything is measured on one machine, so the records' own times (the worker's
 * clock, milliseconds) compare with the publisher's.
 */
export async function measureSuspend({
  officer,
  auditor,
  load,
  keyId,
  trials,
  concurrency,
  workers,
}: SuspendOptions): Promise<SuspendResult> {
  const lastSuccess: number[] = [];
  const confirmed: number[] = [];
  let notConfirmed = 0;
  let successAfterConfirmed = 0;
  try {
    for (let trial = 0; trial < trials; trial++) {
      await load.waitForLog(new RegExp(`^loaded ${trial + 1}\\.$`, 'm'), 60_000);
      const from = new Date(Date.now() - 1).toISOString();
      const publishedAt = Date.now();
      const outcome = await officer.keys.suspend({ keyId, reason: `trial ${trial}` }, { timeoutMs: 10_000 });
      const repliedAt = Date.now();
      if (!outcome.confirmed) notConfirmed++;
      confirmed.push(repliedAt - publishedAt);
      const last = await lastRecordedSuccess(auditor, { keyId, action: 'crypto:Encrypt' }, from, repliedAt);
      lastSuccess.push(last === undefined ? 0 : Math.max(0, last - publishedAt));
      if (last !== undefined && last > repliedAt) successAfterConfirmed++;
      await officer.keys.resume({ keyId, reason: `trial ${trial}` }, { timeoutMs: 10_000 });
      load.signal('SIGUSR2');
    }
  } finally {
    await load.stop(20_000);
  }
  return {
    trials,
    workers,
    concurrency,
    lastSuccessMs: quantiles(lastSuccess),
    confirmedMs: quantiles(confirmed),
    notConfirmed,
    successAfterConfirmed,
    otherErrors: Number(/^other errors (\d+)\.$/m.exec(load.logs())?.[1] ?? Number.NaN),
  };
}
