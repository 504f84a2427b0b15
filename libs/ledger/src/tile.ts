import { LedgerError } from './errors';
import { HASH_BYTES } from './hashing';

/** Hashes in a full tile: height 8 (C2SP tlog-tiles). */
export const TILE_WIDTH = 256;
export const TILE_BYTES = TILE_WIDTH * HASH_BYTES;

/** Where a tile lies. `width` is its number of hashes, 1 to 256; below 256 the tile is partial. */
export type TileCoordinates = { readonly level: number; readonly index: number; readonly width: number };
/** A full tile: `bytes` are its 256 hashes. It never changes again. */
export type FullTile = { readonly level: number; readonly index: number; readonly bytes: Buffer };

/** Hashes that tile `index` of `level` has in a tree of `size` entries; 0 when it has none. */
export const tileWidth = (level: number, index: number, size: number): number =>
  Math.max(0, Math.min(TILE_WIDTH, Math.floor(size / TILE_WIDTH ** level) - index * TILE_WIDTH));

/** `tile/<level>/<index>[.p/<width>]`, for example `tile/0/x001/234.p/5`. */
export function tilePath({ level, index, width }: TileCoordinates): string {
  const valid = isCount(level, 63) && isCount(index, Number.MAX_SAFE_INTEGER) && isCount(width, TILE_WIDTH) && width > 0;
  if (!valid) throw new LedgerError('ERR_TILE_PATH', `No tile has level ${level}, index ${index}, width ${width}`);
  return `tile/${level}/${indexPath(index)}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** `tile/entries/<index>[.p/<width>]`: the entries under the tile of level 0 with the same coordinates. */
export const entriesPath = (index: number, width: number): string =>
  tilePath({ level: 0, index, width }).replace('tile/0/', 'tile/entries/');

const PATH = /^tile\/(0|[1-9]\d?)\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/** The inverse of `tilePath`; other spellings of the same tile are refused. */
export function parseTilePath(path: string): TileCoordinates {
  const match = path.length <= 64 ? PATH.exec(path) : null;
  if (match === null) throw new LedgerError('ERR_TILE_PATH', 'Not a tile path');
  const tile = {
    level: Number(match[1]),
    index: Number(match[2]!.replace(/[x/]/g, '')),
    width: match[3] === undefined ? TILE_WIDTH : Number(match[3]),
  };
  if (tilePath(tile) !== path) throw new LedgerError('ERR_TILE_PATH', 'Not the canonical path of that tile');
  return tile;
}

/** Three digits an element, so that no directory holds more than about a thousand names and none is both file and directory. */
function indexPath(index: number): string {
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g)!;
  return groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
}

const isCount = (value: number, max: number): boolean => Number.isSafeInteger(value) && value >= 0 && value <= max;
