import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@claviger/client';
import type { ComplianceReport, ReportSeal, Trust } from '@claviger/contracts';
import { reportDigest } from './compliance/report-digest';
import { recordIn, verifySeal } from './compliance/verify-seal';
import { CommandError, Finding } from './exit-codes';

/** A record enters the ledger and is under a signed checkpoint within a second or two. */
const waitMs = 30_000;
const everyMs = 250;

/**
 * Has the digest of a report recorded, and brings the proof of it. What the ledger says is verified here, with the public keys in trust.json.
 * @throws ClavigerError where it may not be recorded; CommandError where there is no proof in time; Finding where it does not hold
 */
export async function sealed(client: Client, report: ComplianceReport, trust: Trust): Promise<ComplianceReport> {
  const digest = reportDigest(report);
  const from = new Date(Date.now() - 60_000).toISOString();
  await client.audit.recordReport({ document: 'compliance-report', sha256: digest });
  for (const until = Date.now() + waitMs; Date.now() < until; await delay(everyMs)) {
    const seal = await proofOf(client, digest, report.madeBy, from);
    if (!seal) continue;
    const whole = { ...report, seal };
    const verified = verifySeal(whole, trust);
    if ('problem' in verified) throw new Finding(`the ledger's proof of the report does not hold: ${verified.problem}`);
    return whole;
  }
  throw new CommandError('failed', 'the ledger has not proved the report in time', 'Look at claviger status, and make the report again.');
}

/** Undefined while the record is not under a checkpoint. */
async function proofOf(client: Client, digest: string, principal: string, from: string): Promise<ReportSeal | undefined> {
  const { records } = await client.audit.query({ action: 'audit:RecordReport', principal, outcome: 'success', from, limit: 100 });
  const found = records.find(({ record }) => record.digest === digest);
  if (!found) return undefined;
  const { index } = found;
  const { checkpoint, size } = await client.audit.checkpoint();
  if (index >= size) return undefined;
  const [{ lines }, { proof }] = await Promise.all([
    client.audit.entries({ from: index, limit: 1 }),
    client.audit.inclusion({ index, size }),
  ]);
  const line = lines[0];
  return line !== undefined && recordIn({ line }) ? { index, line, checkpoint, proof: [...proof] } : undefined;
}
