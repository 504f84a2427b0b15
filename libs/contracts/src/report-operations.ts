import { z } from 'zod';
import { defineOperation } from './operation';
import { b64u } from './primitives';

/** What can be recorded of: what a digest is of, in the record. */
export const SealedDocument = z.enum(['compliance-report']);

export const reportOperations = {
  recordReport: defineOperation({
    name: 'audit.record-report',
    action: 'audit:RecordReport',
    summary:
      'Puts the SHA-256 of a report into the ledger, in the record of this operation: whoever has the report, the leaf and its proof needs the public key of the ledger only to see when it was recorded, by whom, and that nothing of it was changed since. Nothing of the report itself is sent.',
    retry: 'safe',
    input: { document: SealedDocument, sha256: b64u(32, 32) },
    result: z.strictObject({ sha256: b64u(32, 32) }),
  }),
} as const;
