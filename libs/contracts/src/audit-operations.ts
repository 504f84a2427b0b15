import { z } from 'zod';
import { transcriptCharsMost } from './ceremony';
import { limits } from './limits';
import { defineOperation } from './operation';
import { KeyId, PrincipalId, Timestamp } from './primitives';
import { Outcome } from './records';
import { RecoveryGroupId } from './recovery-group';

const index = z.int().min(0);
const hash = z.string().max(64);

export const auditOperations = {
  checkpoint: defineOperation({
    name: 'audit.checkpoint',
    action: 'audit:Verify',
    summary: 'The newest signed checkpoint (C2SP signed note).',
    retry: 'safe',
    input: {},
    result: z.strictObject({ checkpoint: z.string(), size: index, root: hash, streamSeq: index, findings: index }),
  }),
  inclusion: defineOperation({
    name: 'audit.inclusion',
    action: 'audit:Verify',
    summary: 'RFC 6962 inclusion proof of one leaf in a tree of `size` leaves.',
    retry: 'safe',
    input: { index, size: index },
    result: z.strictObject({ index, size: index, leafHash: hash, proof: z.array(hash) }),
  }),
  consistency: defineOperation({
    name: 'audit.consistency',
    action: 'audit:Verify',
    summary: 'RFC 6962 consistency proof between two tree sizes.',
    retry: 'safe',
    input: { from: index, to: index },
    result: z.strictObject({ from: index, to: index, proof: z.array(hash) }),
  }),
  entries: defineOperation({
    name: 'audit.entries',
    action: 'audit:Verify',
    summary: 'Leaves as they were hashed, in order, from an index; at most half a megabyte a page.',
    retry: 'safe',
    input: { from: index, limit: z.int().min(1).max(limits.queryPage).default(500) },
    result: z.strictObject({ from: index, lines: z.array(z.string()), size: index }),
  }),
  recordCeremony: defineOperation({
    name: 'audit.record-ceremony',
    action: 'audit:RecordCeremony',
    summary:
      'Puts the digest of a key ceremony into the ledger. The transcript (compact JWS, typ claviger-ceremony+jws) must be signed by a control key of this installation and be about its ledger; nothing else of it is kept.',
    retry: 'safe',
    input: { transcript: z.string().min(1).max(transcriptCharsMost) },
    result: z.strictObject({ digest: hash, groupId: RecoveryGroupId }),
  }),
  query: defineOperation({
    name: 'audit.query',
    action: 'audit:Read',
    summary: 'Records by key, principal, action, outcome and time, newest first, each with its ledger index.',
    retry: 'safe',
    input: {
      keyId: KeyId.optional(),
      principal: PrincipalId.optional(),
      action: z.string().max(64).optional(),
      outcome: Outcome.optional(),
      kind: z.string().max(32).optional(),
      trace: z
        .string()
        .regex(/^[0-9a-f]{32}$/)
        .optional(),
      from: Timestamp.optional(),
      to: Timestamp.optional(),
      limit: z.int().min(1).max(limits.queryPage).default(100),
      before: index.optional(),
    },
    result: z.strictObject({
      records: z.array(z.strictObject({ index, record: z.record(z.string(), z.unknown()) })),
      next: index.optional(),
    }),
  }),
} as const;
