import type { Client } from '@claviger/client';
import type { Evidence, EvidenceQuery, EvidenceRecord } from '@claviger/contracts';
import { leafHash } from '@claviger/ledger';
import { type FoundRecord, type Seen, seen, unseen } from './compliance/observed';
import { tells } from './compliance/tells';
import { whyNot } from './why-not';

type Ledger = Pick<Client, 'audit'>;
/** Pages that one question may take: each looks through some hundreds of batches. */
const pagesMost = 50;

/** The newest records of a kind, since a time or ever; unknown where the ledger does not say all of it, or there are too many to look through. */
export async function newestRecords(
  client: Ledger,
  { kind, action, outcome }: Pick<EvidenceQuery, 'kind' | 'action' | 'outcome'>,
  { from, limit }: { from?: string; limit: number },
): Promise<Seen<{ records: readonly FoundRecord[]; more: boolean }>> {
  const records: FoundRecord[] = [];
  try {
    for (let [page, before] = [0, undefined as number | undefined]; page < pagesMost; page++) {
      const answer = await client.audit.query({ kind, action, outcome, from, before, limit: Math.min(limit - records.length, 100) });
      records.push(...answer.records);
      if (answer.next === undefined) return seen({ records, more: false });
      if (records.length >= limit) return seen({ records, more: true });
      before = answer.next;
    }
    return records.length > 0 ? seen({ records, more: true }) : unseen('too many records had to be looked through');
  } catch (error) {
    return unseen(whyNot(error));
  }
}

/** Each record with its leaf, and the proof that it is under the checkpoint of `size` leaves where it is not newer. */
export async function proven(
  client: Ledger,
  { what }: EvidenceQuery,
  found: Awaited<ReturnType<typeof newestRecords>>,
  size: number | undefined,
): Promise<Evidence> {
  if (!found.ok) return { what, records: [], more: false, unknown: found.why };
  try {
    const { records, more } = found.value;
    return { what, records: await Promise.all(records.map((record) => withProof(client, record, size))), more };
  } catch (error) {
    return { what, records: [], more: false, unknown: whyNot(error) };
  }
}

async function withProof(client: Ledger, { index, record }: FoundRecord, size: number | undefined): Promise<EvidenceRecord> {
  const [entries, inclusion] = await Promise.all([
    client.audit.entries({ from: index, limit: 1 }),
    size !== undefined && index < size ? client.audit.inclusion({ index, size }) : undefined,
  ]);
  const line = entries.lines[0] as string;
  const hash = leafHash(Buffer.from(line)).toString('base64url');
  return { index, time: String(record.time), tells: tells(record), leafHash: hash, line, ...(inclusion ? { proof: inclusion.proof } : {}) };
}
