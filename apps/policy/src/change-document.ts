import type { KeyObject } from 'node:crypto';
import { type CloudEvent, packedWhenLong, unpacked } from '@claviger/contracts';
import { type RecordSigner, signRecord, verifyRecord } from '@claviger/messaging';
import type { Change } from './change';

export type ChangeEntry = { id: string; kind: 'view' } | { id: string; kind: 'event'; event: CloudEvent };

/** What of a change is in clear in its document, for queries; all of it is in `signed`. */
export interface ClearChange {
  revision: number;
  state: string;
  requester: string;
  requestedAt: string;
  expiresAt: string;
}
export type StoredChange = ClearChange & { signed: string };

/** The stored change is not what this service signed: somebody edited it behind its back. */
export class TamperedChange extends Error {
  constructor(
    readonly id: string,
    reason: string,
    options?: { cause?: unknown },
  ) {
    super(reason, options);
    this.name = 'TamperedChange';
  }
}

const typ = 'claviger-change-document+jws';

export function sealChange(change: Change, signer: RecordSigner): StoredChange {
  return { ...clear(change), signed: signRecord(typ, { ...change, input: packedWhenLong(change.input) }, signer) };
}

/** The change that was signed, when what is in clear is the same. Throws TamperedChange. */
export function openChange(id: string, stored: Record<string, unknown>, trusted: ReadonlyMap<string, KeyObject>): Change {
  let change: Change;
  try {
    const signed = verifyRecord(typ, String(stored.signed), trusted) as Change;
    change = { ...signed, input: unpacked(signed.input) as Change['input'] };
  } catch (cause) {
    throw new TamperedChange(id, 'its signature is not that of this service', { cause });
  }
  if (change.change !== id) throw new TamperedChange(id, `it holds ${change.change}`);
  for (const [name, value] of Object.entries(clear(change)))
    if (stored[name] !== value) throw new TamperedChange(id, `${name} is not what was signed`);
  return change;
}

const clear = ({ revision, state, requester, requestedAt, expiresAt }: Change): ClearChange => ({
  ...{ revision, state, requester, requestedAt, expiresAt },
});
