import { type Alert, keyPattern, limits, Outcome, principalPattern } from '@claviger/contracts';
import { parseBatch } from '@claviger/ledger';
import { type AccessNotice, readAccessNotice } from './detectors/access-notice';
import { type BrokenGlass, readBreakGlass } from './detectors/break-glass';
import { type QuotaFound, readQuotaRecord } from './detectors/quota-refusals';
import { type RefusedStateFound, readRefusedState } from './detectors/refused-state';
import { readTokenRecord, type TokenFailure } from './detectors/token-failure';

/** Where a record lies: sequence of its AUDIT message, and its line in it, counted from 0. */
export type Place = Alert['evidence'][number];

/** One use of the system, as far as detection reads it. */
export interface ObservedUse extends Place {
  recordId: string;
  timeMs: number;
  principal: string;
  keyId?: string | undefined;
  action: string;
  outcome: Outcome;
  /** Of re-encryption: the key that it was to be under. */
  toKeyId?: string | undefined;
  /** Why it was refused, or failed. */
  code?: string | undefined;
  /** Found out later, and perhaps more than once. */
  committed?: boolean;
  /** W3C `traceparent` of the request. */
  trace?: string | undefined;
}

export interface ObservedBatch {
  uses: ObservedUse[];
  /** What workers recorded of their tokens. */
  tokens: TokenFailure[];
  /** What services were given and did not use. */
  refused: RefusedStateFound[];
  /** What services recorded of quotas that are used up, or were put back. */
  quotas: QuotaFound[];
  /** What policy says about access of its own accord. */
  notices: AccessNotice[];
  brokenGlass: BrokenGlass[];
  /** Lines, or the whole message, that no service of this system writes. The ledger finds those; here they are only passed over. */
  ignored: number;
}

/** Kinds that are records of this system only as they are read here. */
const readHere: ReadonlySet<string> = new Set(['token', 'refused-state', 'quota']);
const outcomes: ReadonlySet<unknown> = new Set(Outcome.options);
const actionPattern = /^[a-z]{1,32}:[A-Za-z?]{1,32}$/;
const skewMs = limits.clockSkewSeconds * 1_000;

/**
 * The uses in one AUDIT message. Checked by hand and not by schema, for this is done for every record of the system: whatever is not plausible is
 * left out. `storedMs`: when the broker stored the message. A record from further in the future than clocks may differ counts as of then, or one
 * wrong clock would make everything after it look late.
 */
export function readUses(streamSeq: number, data: Uint8Array, storedMs: number): ObservedBatch {
  let lines: readonly Buffer[];
  try {
    ({ lines } = parseBatch(data));
  } catch {
    return { uses: [], tokens: [], refused: [], quotas: [], notices: [], brokenGlass: [], ignored: 1 };
  }
  const batch: ObservedBatch = { uses: [], tokens: [], refused: [], quotas: [], notices: [], brokenGlass: [], ignored: 0 };
  // The last line is the seal.
  for (let line = 0; line < lines.length - 1; line++) {
    const record = parse(lines[line] as Buffer);
    // A change whose process ended before it could record it is a use as well: else killing that process would hide it.
    const committed = record?.kind === 'committed';
    if (!committed && record?.kind !== 'operation') {
      const token = record?.kind === 'token' ? readTokenRecord(record, { streamSeq, line }) : undefined;
      const refused = record?.kind === 'refused-state' ? readRefusedState(record, { streamSeq, line }) : undefined;
      const quota = record?.kind === 'quota' ? readQuotaRecord(record, { streamSeq, line }) : undefined;
      if (token) batch.tokens.push(token);
      else if (refused) batch.refused.push(refused);
      else if (quota) batch.quotas.push(quota);
      else if (typeof record?.kind !== 'string' || readHere.has(record.kind)) batch.ignored++;
      continue;
    }
    const notice = readAccessNotice(record, { streamSeq, line });
    if (notice) batch.notices.push(notice);
    const broken = readBreakGlass(record, { streamSeq, line });
    if (broken) batch.brokenGlass.push(broken);
    const { id, time, principal, keyId, action, code, toKeyId, trace } = record;
    const outcome = committed ? 'success' : record.outcome;
    const timeMs = typeof time === 'string' ? Date.parse(time) : Number.NaN;
    if (
      typeof id !== 'string' ||
      typeof principal !== 'string' ||
      typeof action !== 'string' ||
      !outcomes.has(outcome) ||
      !(timeMs >= 0) ||
      !principalPattern.test(principal) ||
      !actionPattern.test(action)
    ) {
      batch.ignored++;
      continue;
    }
    batch.uses.push({
      streamSeq,
      line,
      recordId: id,
      timeMs: timeMs > storedMs + skewMs ? storedMs : timeMs,
      principal,
      action,
      outcome: outcome as Outcome,
      committed,
      toKeyId: typeof toKeyId === 'string' && keyPattern.test(toKeyId) ? toKeyId : undefined,
      code: typeof code === 'string' ? code : undefined,
      // One shape for all of them, which is what makes this cheap.
      keyId: typeof keyId === 'string' && keyPattern.test(keyId) ? keyId : undefined,
      trace: typeof trace === 'string' ? trace : undefined,
    });
  }
  return batch;
}

function parse(line: Buffer): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line.toString('utf8')) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
