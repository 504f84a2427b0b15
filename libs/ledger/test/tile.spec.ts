import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeEntryBundle, LedgerError, parseEntryBundle, parseTilePath, tilePath, tileWidth } from '../src/index';

test('a tree of 70,000 entries has the tiles that C2SP tlog-tiles lists', () => {
  expect([tileWidth(0, 272, 70_000), tileWidth(0, 273, 70_000), tileWidth(0, 274, 70_000)]).toEqual([256, 112, 0]);
  expect([tileWidth(1, 0, 70_000), tileWidth(1, 1, 70_000), tileWidth(2, 0, 70_000), tileWidth(3, 0, 70_000)]).toEqual([256, 17, 1, 0]);
});

test('a path names one tile and a tile has one path', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 63 }), fc.maxSafeNat(), fc.integer({ min: 1, max: 256 }), (level, index, width) => {
      expect(parseTilePath(tilePath({ level, index, width }))).toEqual({ level, index, width });
    }),
  );
});

test.each([
  'tile/00/000',
  'tile/64/000',
  'tile/0/0',
  'tile/0/1000',
  'tile/0/x000/001',
  'tile/0/001/002',
  'tile/0/000.p/0',
  'tile/0/000.p/256',
  'tile/0/000.p/05',
  'tile/0/x999/x999/x999/x999/x999/999',
  'tile/0/../000',
  '/tile/0/000',
  'tile/0/000\n',
  '',
])('%j is not a tile path', (path) => {
  expect(() => parseTilePath(path)).toThrow(expect.objectContaining({ code: 'ERR_TILE_PATH' }));
});

test('entry bundles keep their entries, and hostile ones throw the typed error only', () => {
  const entries = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 256 });
  fc.assert(
    fc.property(entries, (list) => {
      const bundle = encodeEntryBundle(list);
      expect(parseEntryBundle(bundle, list.length).map((entry) => [...entry])).toEqual(list.map((entry) => [...entry]));
      expect(() => parseEntryBundle(bundle, list.length + 1)).toThrow(LedgerError);
      expect(() => parseEntryBundle(bundle.subarray(0, -1), list.length)).toThrow(LedgerError);
    }),
  );
  expect(() => encodeEntryBundle([Buffer.alloc(65_536)])).toThrow(expect.objectContaining({ code: 'ERR_ENTRY_BUNDLE' }));
});
