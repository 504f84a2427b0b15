import type { Client } from '@claviger/client';
import type { Trust } from '@claviger/contracts';
import { ed25519Verifier, leafHash, openCheckpoint, verifyInclusion } from '@claviger/ledger';

export interface LedgerProof {
  /** Of the leaf that names the transcript. */
  index: number;
  recordedAt: string;
  recordedBy: string;
  /** Leaves of the tree that it was proved to be in. */
  size: number;
}

export type LedgerAnswer = LedgerProof | { missing: string };

/**
 * The oldest record of a transcript's digest, proved to be a leaf of the tree that the ledger's key signed (RFC 6962 §2.1.1). What the ledger
 * says is not believed: the leaf is hashed here.
 */
export async function proveRecorded(client: Client, trust: Trust, digest: string): Promise<LedgerAnswer> {
  const found = await findRecord(client, digest);
  if (found === undefined) return { missing: 'the ledger has no record of this ceremony' };
  const { checkpoint } = await client.audit.checkpoint();
  const { size, root } = openCheckpoint(checkpoint, [ed25519Verifier(trust.ledger.vkey)], trust.ledger.origin);
  if (found.index >= size) return { missing: 'the ledger has signed no checkpoint over the record yet: ask again in a second' };
  const [line] = (await client.audit.entries({ from: found.index, limit: 1 })).lines;
  if (line === undefined) return { missing: `the ledger withholds leaf ${found.index}` };
  const record = JSON.parse(line) as { kind?: unknown; digest?: unknown; time?: unknown; principal?: unknown };
  if (record.kind !== 'ceremony' || record.digest !== digest)
    return { missing: `leaf ${found.index} is another record than the ledger said` };
  const { proof } = await client.audit.inclusion({ index: found.index, size });
  const isIn = verifyInclusion({
    ...{ index: found.index, size, root, leafHash: leafHash(Buffer.from(line)) },
    proof: proof.map((hash) => Buffer.from(hash, 'base64url')),
  });
  if (!isIn) return { missing: `leaf ${found.index} is not in the tree that the ledger signed` };
  return { index: found.index, recordedAt: String(record.time), recordedBy: String(record.principal), size };
}

async function findRecord(client: Client, digest: string): Promise<{ index: number } | undefined> {
  let oldest: { index: number } | undefined;
  for (let before: number | undefined; ; ) {
    const { records, next } = await client.audit.query({ kind: 'ceremony', limit: 1_000, before });
    oldest = records.filter(({ record }) => record.digest === digest).at(-1) ?? oldest;
    if (next === undefined) return oldest;
    before = next;
  }
}
