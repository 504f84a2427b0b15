import { fromBase64 } from './encoding';
import { LedgerError } from './errors';
import { isKeyName, type NoteVerifier } from './verifier-key';

/** Bounds of a note: what a hostile one may cost. C2SP asks for at least 16 signatures of up to 5 kB. */
export const MAX_NOTE_BYTES = 131_072;
export const MAX_NOTE_SIGNATURES = 100;

/** A key that signs notes elsewhere, as in an HSM. `sign` gets the note's text and returns the signature alone (Ed25519: 64 bytes). */
export type NoteSigner = {
  readonly name: string;
  readonly keyHash: number;
  sign(text: Buffer): Promise<Buffer> | Buffer;
};
type SignerIdentity = { readonly name: string; readonly keyHash: number };
/** `text` is what the `verified` keys signed; signatures of `unknown` keys were not looked at and vouch for nothing. */
export type VerifiedNote = {
  readonly text: string;
  readonly verified: readonly SignerIdentity[];
  readonly unknown: readonly SignerIdentity[];
};
type SignatureLine = SignerIdentity & { readonly signature: Buffer };

/** `text`, a blank line, one line per signer in the order given. The text ends in a newline. Throws `ERR_NOTE_FORMAT`; a signer's error passes through. */
export async function signNote(text: string, signers: readonly NoteSigner[]): Promise<string> {
  if (!isNoteText(text) || !text.endsWith('\n')) throw new LedgerError('ERR_NOTE_FORMAT', 'A text that a note cannot hold');
  if (signers.length === 0 || signers.length > MAX_NOTE_SIGNATURES)
    throw new LedgerError('ERR_NOTE_FORMAT', `A note of ${signers.length} signatures`);
  if (!signers.every(({ name }) => isKeyName(name))) throw new LedgerError('ERR_NOTE_FORMAT', 'A signer without a valid key name');
  const bytes = Buffer.from(text);
  const lines = await Promise.all(
    signers.map(async (signer) => {
      const id = Buffer.alloc(4);
      id.writeUInt32BE(signer.keyHash);
      return `— ${signer.name} ${Buffer.concat([id, await signer.sign(bytes)]).toString('base64')}\n`;
    }),
  );
  const note = `${text}\n${lines.join('')}`;
  if (Buffer.byteLength(note) > MAX_NOTE_BYTES) throw new LedgerError('ERR_NOTE_FORMAT', 'A note too large to be verified');
  return note;
}

/**
 * The text of a note that at least one of `verifiers` signed. Signatures by unknown keys are passed over, a bad one by a known key refuses
 * the whole note (C2SP signed-note, signatures). Throws `ERR_NOTE_FORMAT`, `ERR_NOTE_SIGNATURE`, `ERR_NOTE_UNTRUSTED`.
 */
export function verifyNote(note: string | Uint8Array, verifiers: readonly NoteVerifier[]): VerifiedNote {
  const known = new Map(verifiers.map((verifier) => [identity(verifier), verifier]));
  const { text, signatures } = parseNote(note);
  const bytes = Buffer.from(text);
  const seen = new Set<string>();
  const verified: SignerIdentity[] = [];
  const unknown: SignerIdentity[] = [];
  for (const line of signatures) {
    const { name, keyHash } = line;
    const verifier = known.get(identity(line));
    if (verifier === undefined) {
      unknown.push({ name, keyHash });
      continue;
    }
    // Each key is verified once, but a repeated line of it must be good as well: what one reader skips another may trust.
    if (!verifier.verify(bytes, line.signature)) throw new LedgerError('ERR_NOTE_SIGNATURE', `A bad signature under the name of ${name}`);
    if (!seen.has(identity(line))) verified.push({ name, keyHash });
    seen.add(identity(line));
  }
  if (verified.length === 0) throw new LedgerError('ERR_NOTE_UNTRUSTED', 'No signature of a known key');
  return { text, verified, unknown };
}

function parseNote(note: string | Uint8Array): { text: string; signatures: SignatureLine[] } {
  const all = noteText(note);
  const blank = all.lastIndexOf('\n\n');
  if (blank <= 0 || !all.endsWith('\n')) throw new LedgerError('ERR_NOTE_FORMAT', 'No text, or no signatures after a blank line');
  const lines = all.slice(blank + 2, -1).split('\n', MAX_NOTE_SIGNATURES + 1);
  if (lines.length > MAX_NOTE_SIGNATURES) throw new LedgerError('ERR_NOTE_FORMAT', `More than ${MAX_NOTE_SIGNATURES} signatures`);
  return { text: all.slice(0, blank + 1), signatures: lines.map(parseSignatureLine) };
}

function parseSignatureLine(line: string): SignatureLine {
  const [dash, name, encoded, ...rest] = line.split(' ');
  const bytes = encoded === undefined ? undefined : fromBase64(encoded);
  if (dash !== '—' || name === undefined || !isKeyName(name) || bytes === undefined || bytes.length < 5 || rest.length > 0) {
    throw new LedgerError('ERR_NOTE_FORMAT', 'Not a signature line');
  }
  return { name, keyHash: bytes.readUInt32BE(), signature: bytes.subarray(4) };
}

function noteText(note: string | Uint8Array): string {
  const size = typeof note === 'string' ? Buffer.byteLength(note) : note.length;
  if (size > MAX_NOTE_BYTES) throw new LedgerError('ERR_NOTE_FORMAT', `A note of ${size} bytes`);
  const text = typeof note === 'string' ? note : decodeUtf8(note);
  if (!isNoteText(text)) throw new LedgerError('ERR_NOTE_FORMAT', 'Not UTF-8, or control characters');
  return text;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new LedgerError('ERR_NOTE_FORMAT', 'Not UTF-8', cause);
  }
}

const identity = ({ name, keyHash }: SignerIdentity): string => `${name}+${keyHash}`;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the rule of the format is about exactly these.
const isNoteText = (text: string): boolean => text.isWellFormed() && !/[\u0000-\u0009\u000b-\u001f]/.test(text);
