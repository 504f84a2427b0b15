import { LedgerError } from './errors';
import { TILE_WIDTH } from './tile';

/** An entry is at most this long: its length is a uint16 in a bundle. */
export const MAX_ENTRY_BYTES = 65_535;
const LENGTH_BYTES = 2;

/** Entries of one tile of level 0, each after its big-endian uint16 length (C2SP tlog-tiles, log entries). 1 to 256 entries. */
export function encodeEntryBundle(entries: readonly Uint8Array[]): Buffer {
  if (entries.length === 0 || entries.length > TILE_WIDTH)
    throw new LedgerError('ERR_ENTRY_BUNDLE', `A bundle of ${entries.length} entries`);
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES) throw new LedgerError('ERR_ENTRY_BUNDLE', `An entry of ${entry.length} bytes`);
    parts.push(Buffer.of(entry.length >> 8, entry.length & 0xff), entry);
  }
  return Buffer.concat(parts);
}

/** The entries of a bundle that holds exactly `width` of them, as views on `bundle`. */
export function parseEntryBundle(bundle: Buffer, width: number): Buffer[] {
  const entries: Buffer[] = [];
  for (let at = 0; at < bundle.length; ) {
    if (entries.length === width) throw new LedgerError('ERR_ENTRY_BUNDLE', `More than ${width} entries`);
    if (at + LENGTH_BYTES > bundle.length) throw new LedgerError('ERR_ENTRY_BUNDLE', 'A length is cut off');
    const end = at + LENGTH_BYTES + bundle.readUInt16BE(at);
    if (end > bundle.length) throw new LedgerError('ERR_ENTRY_BUNDLE', 'An entry is cut off');
    entries.push(bundle.subarray(at + LENGTH_BYTES, end));
    at = end;
  }
  if (entries.length !== width) throw new LedgerError('ERR_ENTRY_BUNDLE', `${entries.length} entries instead of ${width}`);
  return entries;
}
