import { readFileSync } from 'node:fs';
import type { Client } from '@claviger/client';
import { mayCertify, Trust } from '@claviger/contracts';
import { ed25519Verifier, type LogReport, LogVerifier, openCheckpoint, p256PublicKey } from '@claviger/ledger';

/** Downloads the ledger up to its newest checkpoint and verifies all of it with public keys only. Throws when anything does not hold. */
export async function verifyLedger(auditor: Client, trustFile: string): Promise<LogReport> {
  const trust = Trust.parse(JSON.parse(readFileSync(trustFile, 'utf8')));
  const { checkpoint } = await auditor.audit.checkpoint({});
  const { size, root } = openCheckpoint(checkpoint, [ed25519Verifier(trust.ledger.vkey)], trust.ledger.origin);
  const certifiers = new Map(Object.entries(trust.certifiers).map(([kid, spki]) => [kid, p256PublicKey(Buffer.from(spki, 'base64url'))]));
  const verifier = new LogVerifier({ certifiers, mayCertify });
  for (let from = 0; from < size; ) {
    const { lines } = await auditor.audit.entries({ from, limit: 1_000 });
    const wanted = lines.slice(0, size - from);
    if (wanted.length === 0) throw new Error(`the ledger gives no leaves from ${from} on, but its checkpoint says ${size}`);
    for (const line of wanted) verifier.add(Buffer.from(line));
    from += wanted.length;
  }
  const report = verifier.finish();
  if (!report.root.equals(root)) throw new Error('the leaves do not give the root of the checkpoint');
  const [first] = [...report.problems.map((p) => p.problem), ...report.findings.map((f) => f.finding)];
  if (first) throw new Error(`${report.problems.length} problems and ${report.findings.length} findings, the first: ${first}`);
  return report;
}
