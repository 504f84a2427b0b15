import { mayCertify } from '@claviger/contracts';
import { LogVerifier, p256PublicKey } from '@claviger/ledger';
import type { Db } from 'mongodb';
import { type EntryDocument, leavesOf } from '../src/documents';
import type { Rules } from '../src/fold';
import type { Head } from '../src/head';
import { certifiers as trusted } from './worker';

const certifiers = new Map(Object.entries(trusted).map(([kid, spki]) => [kid, p256PublicKey(Buffer.from(spki, 'base64url'))]));
export const rules: Rules = { certifiers, mayCertify, keyOf: p256PublicKey };

/** The fsck at the end of a fault test: all leaves of the store, in order, against head and rules; gives the findings by name. */
export async function checkWholeLog(
  db: Db,
  head: Head,
  given: Pick<Rules, 'certifiers'> = rules,
): Promise<{ findings: string[]; records: number }> {
  const verifier = new LogVerifier({ certifiers: given.certifiers, mayCertify });
  let size = 0;
  for await (const entry of db.collection<EntryDocument>('entries').find().sort({ _id: 1 })) {
    if (entry.firstIndex !== size) throw new Error(`entry ${entry._id} begins at ${entry.firstIndex}, not at ${size}`);
    size += entry.count;
    for (const leaf of leavesOf(entry)) verifier.add(leaf);
  }
  const report = verifier.finish();
  if (report.problems.length > 0) throw new Error(JSON.stringify(report.problems));
  if (report.size !== head.edge.size || !report.root.equals(head.root)) throw new Error('the leaves are not those of the head');
  return { findings: report.findings.map(({ finding }) => finding), records: report.records };
}
