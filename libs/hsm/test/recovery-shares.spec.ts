import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeBech32m, encodeBech32m } from '../src/bech32m';
import { type RecoveryShare, shareDigest, shareOfText, textOfShare } from '../src/index';
import { groupIdBytesOf, groupIdOf } from '../src/recovery-shares';
import { caught } from './fresh-token';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array));
const shares: fc.Arbitrary<RecoveryShare> = fc.record({
  groupId: bytes(16).map(groupIdOf),
  index: fc.integer({ min: 1, max: 16 }),
  threshold: fc.integer({ min: 2, max: 16 }),
  value: bytes(32),
});

test('BIP 350: its vectors of bytes decode and encode; those with another checksum, length or mixed case do not', () => {
  expect(decodeBech32m('split', 'split1checkupstagehandshakeupstreamerranterredcaperredlc445v')).toBeDefined();
  expect(decodeBech32m('a', 'A1LQFN3A')).toEqual(Buffer.alloc(0));
  expect(decodeBech32m('a', 'a1lqfn3a')).toEqual(Buffer.alloc(0));
  expect(encodeBech32m('a', Buffer.alloc(0))).toBe('a1lqfn3a');
  // A program of BIP 350's addresses, without the version in front: what is encoded are groups of five bits.
  const text = encodeBech32m('bc', Buffer.from('751e76e8199196d454941c45d1b3a323f1433bd6', 'hex'));
  expect(text.slice(0, -6)).toBe('bc1w508d6qejxtdg4y5r3zarvary0c5xw7k');
  for (const wrong of ['a1lqfn3q', 'A1lqfn3a', 'a1qfn3a', 'b1lqfn3a', '1lqfn3a', 'a1', `a1${'q'.repeat(100)}`, 'a12uel5l'])
    expect(decodeBech32m('a', wrong)).toBeUndefined();
});

test('a share is 90 characters, and comes back from its text however that is spaced, hyphenated or spelt', () => {
  fc.assert(
    fc.property(shares, (share) => {
      const text = textOfShare(share);
      expect(text).toMatch(/^clav1( [02-9ac-hj-np-z]{5}){17}$/);
      for (const copied of [
        text,
        text.toUpperCase(),
        text.replaceAll(' ', ''),
        text.replaceAll(' ', '-'),
        `\n${text.replaceAll(' ', '\n')} `,
      ])
        expect(shareOfText(copied)).toEqual(share);
    }),
  );
});

test('up to four wrong characters, or one that is missing or exchanged with its neighbour, are found, and nothing of the text is said', () => {
  const alphabet = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
  const wrong = fc.tuple(
    shares,
    fc.uniqueArray(fc.integer({ min: 0, max: 84 }), { minLength: 1, maxLength: 4 }),
    fc.array(fc.integer({ min: 1, max: 31 }), { minLength: 4, maxLength: 4 }),
  );
  fc.assert(
    fc.property(wrong, ([share, places, shifts]) => {
      const text = [...textOfShare(share).replaceAll(' ', '')];
      for (const [i, place] of places.entries())
        text[place + 5] = alphabet[(alphabet.indexOf(text[place + 5]!) + shifts[i]!) % alphabet.length]!;
      const error = caught(() => shareOfText(text.join(''))) as Error;
      expect(error).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
      expect(error.message).not.toContain(text.join('').slice(10, 20));
    }),
  );
  const share = { groupId: groupIdOf(Buffer.alloc(16, 9)), index: 1, threshold: 2, value: Buffer.alloc(32, 1) };
  const text = textOfShare(share).replaceAll(' ', '');
  for (const copied of [text.slice(0, -1), text.slice(1), `${text}q`, '', 'clav1', text.replace('clav', 'claw')])
    expect(caught(() => shareOfText(copied))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
});

test('the id of a group is 22 letters and digits, one for each 128 bits', () => {
  fc.assert(
    fc.property(bytes(16), (id) => {
      expect(groupIdOf(id)).toMatch(/^[0-9A-Za-z]{22}$/);
      expect(groupIdBytesOf(groupIdOf(id))).toEqual(id);
    }),
    { examples: [[Buffer.alloc(16)], [Buffer.alloc(16, 255)]] },
  );
  for (const wrong of ['', '0', 'z'.repeat(22), '-'.repeat(22), '0'.repeat(23)])
    expect(caught(() => groupIdBytesOf(wrong))).toMatchObject({ code: 'HSM_ARGUMENT_INVALID' });
});

test('a digest tells every part of a share', () => {
  const share = { groupId: groupIdOf(Buffer.alloc(16, 9)), index: 1, threshold: 2, value: Buffer.alloc(32, 1) };
  const others = [{ index: 2 }, { threshold: 3 }, { groupId: groupIdOf(Buffer.alloc(16, 8)) }, { value: Buffer.alloc(32, 2) }];
  const digests = [share, ...others.map((other) => ({ ...share, ...other }))].map(shareDigest);
  expect(new Set(digests).size).toBe(5);
});
