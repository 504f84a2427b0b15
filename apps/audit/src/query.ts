import type { auditOperations, Request } from '@claviger/contracts';
import type { Filter } from 'mongodb';
import type { EntryDocument } from './documents';
import { parseRecord } from './record-index';

export type Query = Request<(typeof auditOperations)['query']>;

/** Which entries may hold such records: each condition holds for some record of the entry, maybe not all for one. */
export function entryFilter(query: Query): Filter<EntryDocument> {
  const { keyId, principal, action, outcome, kind, trace, from, to, before } = query;
  return {
    count: { $gt: 0 },
    ...(before === undefined ? {} : { firstIndex: { $lt: before } }),
    ...(keyId ? { keys: keyId } : {}),
    ...(principal ? { principals: principal } : {}),
    ...(action ? { actions: action } : {}),
    ...(outcome ? { outcomes: outcome } : {}),
    ...(kind && kind !== sealKind ? { kinds: kind } : {}),
    ...(trace ? { traces: trace } : {}),
    ...(from ? { to: { $gte: from } } : {}),
    ...(to ? { from: { $lte: to } } : {}),
  };
}

/** What the segments can be asked for it. */
export const segmentQuery = (query: Query) => (query.kind === sealKind ? { ...query, kind: undefined } : query);

/** Seals are leaves but tell of no use of the system: shown only when asked for. */
const sealKind = 'batch';

/** The record of a leaf, when the query asks for it. */
export function matching(leaf: Buffer, query: Query): Record<string, unknown> | undefined {
  if (query.kind === sealKind) return sealOf(leaf);
  const record = parseRecord(leaf);
  if (!record) return undefined;
  const { keyId, principal, action, outcome, kind, trace, from, to } = query;
  const asked =
    (!keyId || record.keyId === keyId || record.toKeyId === keyId || record.previousKeyId === keyId) &&
    (!principal || record.principal === principal) &&
    (!action || record.action === action) &&
    (!outcome || record.outcome === outcome) &&
    (!kind || record.kind === kind) &&
    (!trace || (typeof record.trace === 'string' && record.trace.slice(3, 35) === trace)) &&
    (!from || record.time >= from) &&
    (!to || record.time <= to);
  return asked ? record : undefined;
}

function sealOf(leaf: Buffer): Record<string, unknown> | undefined {
  return leaf.subarray(0, 16).toString('latin1') === '{"kind":"batch",' ? JSON.parse(leaf.toString()) : undefined;
}
