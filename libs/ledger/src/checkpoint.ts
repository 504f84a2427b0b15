import { fromBase64 } from './encoding';
import { LedgerError } from './errors';
import { checkHash, HASH_BYTES } from './hashing';
import { type VerifiedNote, verifyNote } from './signed-note';
import { checkSize } from './subtrees';
import { type NoteVerifier } from './verifier-key';

/** A tree head: `size` entries have the root hash `root` (32 bytes) in the log named `origin`. */
export type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Buffer };
/** `extensions`: opaque lines after the first three. This system writes none (no monitor can audit them) and keeps those of others. */
export type ParsedCheckpoint = Checkpoint & { readonly extensions: readonly string[] };

/** Text of a checkpoint, to be signed as a note (C2SP tlog-checkpoint). */
export function encodeCheckpoint({ origin, size, root }: Checkpoint): string {
  if (!isLine(origin)) throw new LedgerError('ERR_CHECKPOINT_FORMAT', 'An origin that is empty or not one line');
  checkSize(size);
  checkHash(root);
  return `${origin}\n${size}\n${root.toString('base64')}\n`;
}

/** The inverse, for text out of a verified note. Throws `ERR_CHECKPOINT_FORMAT`. */
export function parseCheckpoint(text: string): ParsedCheckpoint {
  if (!text.endsWith('\n')) throw new LedgerError('ERR_CHECKPOINT_FORMAT', 'The last line has no end');
  const [origin, sizeText, rootText, ...extensions] = text.slice(0, -1).split('\n');
  const size = sizeText !== undefined && /^(0|[1-9]\d{0,15})$/.test(sizeText) ? Number(sizeText) : Number.NaN;
  const root = rootText === undefined ? undefined : fromBase64(rootText);
  if (origin === undefined || ![origin, ...extensions].every(isLine)) throw new LedgerError('ERR_CHECKPOINT_FORMAT', 'An empty line');
  if (!Number.isSafeInteger(size)) throw new LedgerError('ERR_CHECKPOINT_FORMAT', 'No tree size in the second line');
  if (root?.length !== HASH_BYTES) throw new LedgerError('ERR_CHECKPOINT_FORMAT', 'No root hash in the third line');
  return { origin, size, root, extensions };
}

/** The checkpoint of a signed note of the log `origin`. Throws what `verifyNote` throws, `ERR_CHECKPOINT_FORMAT`, `ERR_CHECKPOINT_ORIGIN`. */
export function openCheckpoint(
  note: string | Uint8Array,
  verifiers: readonly NoteVerifier[],
  origin: string,
): ParsedCheckpoint & Pick<VerifiedNote, 'verified'> {
  const { text, verified } = verifyNote(note, verifiers);
  const checkpoint = parseCheckpoint(text);
  if (checkpoint.origin !== origin) throw new LedgerError('ERR_CHECKPOINT_ORIGIN', 'The origin is not the one expected');
  return { ...checkpoint, verified };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a note's text may hold no control character.
const isLine = (text: string): boolean => text.length > 0 && text.isWellFormed() && !/[\u0000-\u001f]/.test(text);
