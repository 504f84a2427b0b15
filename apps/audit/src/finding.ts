import { createHash } from 'node:crypto';
import { FindingRecord } from '@claviger/contracts';
import type { StreamMessage } from './stream-message';

/** The closed table of what the ledger can find, and what it means for who reads it. */
export const findingTable = {
  'stream-gap': 'messages are missing from the stream before this one',
  'stream-shorter': 'the stream ends before a message that the ledger holds: it was cut, replaced or restored from an old copy',
  'stream-rewritten': 'the stream holds another message than the ledger does at the same sequence',
  'foreign-subject': 'a message on a subject that no service writes to',
  malformed: 'not a batch',
  'wrong-subject': 'the batch was sealed by another service or worker than its subject says',
  'unknown-epoch': 'no certified key is known for this chain: its first batch was lost or refused',
  'epoch-of-another-chain': 'the epoch record certifies another chain',
  'unknown-certifier': 'no trusted key certified this chain',
  'certifier-not-allowed': 'the certifying key may not speak for this service',
  'bad-certificate': 'the epoch certificate is forged',
  'bad-signature': 'the seal is forged or was changed',
  'records-hash': 'records were changed after the batch was sealed',
  count: 'records were added or taken away after the batch was sealed',
  gap: 'batches of this chain are missing before this one, which is itself genuine and appended',
  stale: 'a genuine batch that comes after later ones of its chain: it was held back',
  fork: 'the key of this chain signed two histories',
  'epoch-missing': 'the chain does not begin with its epoch record',
  'epoch-misplaced': 'an epoch record where none may be',
  'clock-backwards': "the clock of this chain's worker ran backwards; the batch is genuine and appended",
  'unreadable-record':
    'a genuine batch holds records that are no JSON objects with a kind and a time; they are appended and cannot be queried',
} as const;
export type FindingName = keyof typeof findingTable;

export interface Finding {
  readonly finding: FindingName;
  /** Numbers and names that were checked, never bytes of the message. */
  readonly detail?: string;
  readonly worker?: string;
  readonly epoch?: string;
}

/** A finding as a leaf of the ledger. */
export interface FindingLine {
  readonly line: string;
  readonly record: FindingRecord;
}

/** Deterministic: id and time come from the message, so that a second sequencer, or the same one after a crash, writes the same bytes. */
export function findingLine(finding: Finding, at: { life: number; streamSeq: number; time: string }, n: number): FindingLine {
  const { worker, epoch } = finding;
  const record: FindingRecord = {
    kind: 'finding',
    id: `finding.${at.life}.${at.streamSeq}.${n}`,
    time: at.time,
    service: 'audit',
    finding: finding.finding,
    streamSeq: at.streamSeq,
    ...(worker ? { worker } : {}),
    ...(epoch ? { epoch } : {}),
    detail: `${findingTable[finding.finding]}${finding.detail ? ` (${finding.detail})` : ''}`,
  };
  return { line: JSON.stringify(record), record };
}

/** Binds the refused bytes, which stay in the stream, to the leaf. */
export const evidenceOf = ({ data }: Pick<StreamMessage, 'data'>): string =>
  `message of ${data.length} bytes, SHA-256 ${createHash('sha256').update(data).digest('base64url')}`;
