import { createHash } from 'node:crypto';
import type { DetectionState } from './detection';

/** Everything that detection knows, and how far into its streams that reaches. */
export interface Snapshot {
  /** Sequence of the last AUDIT, and of the last LEDGER message that is in it; 0 for none. */
  auditSeq: number;
  ledgerSeq: number;
  state: DetectionState;
}

/** Characters a part; the text is ASCII, so they are bytes, and a document stays far below the store's 16 MiB. */
const partChars = 4_000_000;

/** The state as texts that each fit a document, and the digest that proves them complete. */
export function encodeState(state: DetectionState, size = partChars): { parts: string[]; sha256: string } {
  const text = JSON.stringify(state);
  const parts = Array.from({ length: Math.ceil(text.length / size) }, (_, n) => text.slice(n * size, (n + 1) * size));
  return { parts, sha256: sha256(text) };
}

/** The inverse; undefined when the parts are not what was written. */
export function decodeState(parts: readonly string[], digest: string): DetectionState | undefined {
  const text = parts.join('');
  return sha256(text) === digest ? (JSON.parse(text) as DetectionState) : undefined;
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url');
