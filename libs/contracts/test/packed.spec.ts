import { deflateRawSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PackedError, pack, packedLimits, packedWhenLong, packFields, unpacked, unpackFields } from '../src/index';

const deflatedOf = (text: string | Buffer) => deflateRawSync(text).toString('base64url');

describe('a packed document', () => {
  test('is what was packed, whatever it was', () => {
    fc.assert(
      fc.property(
        fc.jsonValue().filter((value) => JSON.stringify(value).length > 1),
        (value) => {
          const text = JSON.stringify(value);
          expect(JSON.stringify(unpacked(pack(text)))).toBe(text);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('is made of long ones only: what is short stays readable for services of an earlier version', () => {
    const short = { policies: 'p'.repeat(packedLimits.plainChars - 20) };
    const long = { policies: 'p'.repeat(packedLimits.plainChars) };
    expect(packedWhenLong(short)).toBe(short);
    expect(packedWhenLong(long)).toMatchObject({ bytes: packedLimits.plainChars + 15 });
    expect(unpacked(packedWhenLong(long))).toEqual(long);
    expect(unpackFields(packFields({ bundle: long, basedOn: 1 }, ['bundle']), ['bundle'])).toEqual({ bundle: long, basedOn: 1 });
    expect(unpackFields({ bundle: short, reason: { deflated: 'x' } }, ['bundle'])).toEqual({ bundle: short, reason: { deflated: 'x' } });
  });

  const bomb = deflatedOf(Buffer.alloc(64 * 1_048_576));
  const hostile: [string, unknown][] = [
    ['a bomb that says that it is small', { deflated: bomb, bytes: 100 }],
    ['a bomb that says what it is', { deflated: bomb, bytes: 64 * 1_048_576 }],
    ['less than it says', { deflated: deflatedOf('{}'), bytes: 3 }],
    ['no DEFLATE', { deflated: 'AAAA', bytes: 2 }],
    ['a stream that is cut off', { deflated: deflatedOf('{"a":"bcdefghijklmnop"}').slice(0, -4), bytes: 24 }],
    ['no JSON', { deflated: deflatedOf('{"a":'), bytes: 5 }],
    ['another field beside it', { deflated: deflatedOf('{}'), bytes: 2, principals: [] }],
    ['more than fits a message', { deflated: 'A'.repeat(1_100_000), bytes: 8 }],
    ['no length', { deflated: deflatedOf('{}') }],
    ['no text', { deflated: null, bytes: 2 }],
  ];
  test.each(hostile)('is refused: %s', (_, value) => {
    const before = process.memoryUsage().arrayBuffers;
    expect(() => unpacked(value)).toThrow(PackedError);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 1_048_576);
  });

  test('is not made of what no message could carry', () => {
    expect(() => pack('x'.repeat(packedLimits.bytes + 1))).toThrow(/8388609 bytes/);
    const noise = Array.from({ length: 80_000 }, (_, n) => `${Math.sin(n)}${Math.cos(n)}`).join();
    expect(() => pack(noise)).toThrow(/deflated/);
  });
});
