import type { KeyObject } from 'node:crypto';
import { checkEdge, type Edge } from './edge';
import { fromBase64Url } from './encoding';
import { LedgerError } from './errors';
import { HASH_BYTES } from './hashing';
import { p256PublicKey } from './public-key';

/** Where a chain stands: the batch that comes next, the hash of the last one, the certified key. */
export type ChainHead = { readonly seq: number; readonly prev: Buffer; readonly key: KeyObject };
/** Something that the ledger found and wrote down itself. */
export type RecordedFinding = { readonly index: number; readonly finding: string; readonly detail: string };

/** What a verifier knows after some leaves, none of which was a problem. */
export type VerifiedLog = {
  readonly edge: Edge;
  /** The last leaves, when no seal has claimed them yet. */
  readonly pending: readonly Buffer[];
  readonly chains: ReadonlyMap<string, ChainHead>;
  readonly batches: number;
  readonly records: number;
  readonly findings: readonly RecordedFinding[];
};

/** The same as JSON; hashes, keys (SPKI) and lines in base64url. Whoever can write it decides what counts as verified: keep it as safe as the root it belongs to. */
export type LogState = {
  readonly format: 'claviger.log-state/1';
  readonly size: number;
  readonly levels: readonly string[];
  readonly pending: readonly string[];
  readonly chains: readonly (readonly [chain: string, seq: number, prev: string, key: string])[];
  readonly batches: number;
  readonly records: number;
  readonly findings: readonly RecordedFinding[];
};

const format = 'claviger.log-state/1';
const text = (bytes: Buffer) => bytes.toString('base64url');

export const encodeLogState = ({ edge, pending, chains, batches, records, findings }: VerifiedLog): LogState => ({
  format,
  size: edge.size,
  levels: edge.levels.map(text),
  pending: pending.map(text),
  chains: [...chains].map(([chain, { seq, prev, key }]) => [chain, seq, text(prev), text(key.export({ format: 'der', type: 'spki' }))]),
  batches,
  records,
  findings: [...findings],
});

/** The inverse. Throws `ERR_LOG_STATE` for anything that `encodeLogState` would not have written. */
export function decodeLogState(state: unknown): VerifiedLog {
  try {
    const given = state as LogState;
    demand(given.format === format, 'its format');
    const edge = { size: count(given.size), levels: given.levels.map(bytes) };
    checkEdge(edge);
    const chains = given.chains.map(([chain, seq, prev, key]): [string, ChainHead] => {
      demand(typeof chain === 'string' && bytes(prev).length === HASH_BYTES, 'a chain');
      return [chain, { seq: count(seq), prev: bytes(prev), key: p256PublicKey(bytes(key)) }];
    });
    const findings = given.findings.map(({ index, finding, detail }) => {
      demand(typeof finding === 'string' && typeof detail === 'string', 'a finding');
      return { index: count(index), finding, detail };
    });
    const [batches, records] = [count(given.batches), count(given.records)];
    return { edge, pending: given.pending.map(bytes), chains: new Map(chains), batches, records, findings };
  } catch (cause) {
    throw new LedgerError('ERR_LOG_STATE', 'Not the state of a verified log', cause);
  }
}

function demand(holds: boolean, what: string): void {
  if (!holds) throw new TypeError(`${what} is not as it was written`);
}

function count(value: unknown): number {
  demand(Number.isSafeInteger(value) && (value as number) >= 0, 'a count');
  return value as number;
}

function bytes(value: unknown): Buffer {
  const decoded = typeof value === 'string' ? fromBase64Url(value) : undefined;
  if (!decoded) throw new TypeError('not base64url');
  return decoded;
}
