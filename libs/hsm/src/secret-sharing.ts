import { add, inverse, multiply } from './gf256';
import { HsmError } from './hsm-error';

/** One share alone would be the secret, so a threshold of 1 is none. */
export const leastThreshold = 2;
export const sharesMost = 16;

/** A point of the polynomials at `index`: a byte for each byte of the secret. */
export interface Point {
  readonly index: number;
  readonly value: Buffer;
}

/**
 * Shamir's secret sharing over GF(2^8) (ISO/IEC 19592-2; A. Shamir, "How to share a secret", 1979): each byte of the secret is the value at 0 of a
 * polynomial of degree `threshold` - 1 whose other coefficients are random; share number i holds the values at i. Fewer than `threshold` shares fit
 * every secret equally well. `random` gives so many uniform bytes.
 * @returns the points at 1 to `count`, to be overwritten by whoever gets them
 * @throws HsmError HSM_ARGUMENT_INVALID unless 2 <= threshold <= count <= 16
 */
export function splitSecret(
  secret: Buffer,
  { threshold, count, random }: { threshold: number; count: number; random: (bytes: number) => Buffer },
): Point[] {
  if (!Number.isInteger(threshold) || !Number.isInteger(count) || threshold < leastThreshold || threshold > count || count > sharesMost)
    throw new HsmError(
      'HSM_ARGUMENT_INVALID',
      `A secret is split into ${leastThreshold} to ${sharesMost} shares of which ${leastThreshold} or more are needed, not ${threshold} of ${count}`,
    );
  const coefficients = random(secret.length * (threshold - 1));
  try {
    return Array.from({ length: count }, (_, i) => ({ index: i + 1, value: valueAt(i + 1, secret, coefficients) }));
  } finally {
    coefficients.fill(0);
  }
}

/**
 * The secret of `threshold` points that were split together, in a buffer of its own; of others, some other bytes: whoever calls knows how to tell.
 * @throws HsmError HSM_ARGUMENT_INVALID for points that cannot be of one secret: none, of different lengths, or of the same index
 */
export function combineSecret(points: readonly Point[]): Buffer {
  const length = points[0]?.value.length ?? 0;
  const isIndex = ({ index }: Point) => Number.isInteger(index) && index >= 1 && index <= sharesMost;
  const distinct = new Set(points.map(({ index }) => index)).size;
  if (length === 0 || distinct !== points.length || !points.every((point) => point.value.length === length && isIndex(point)))
    throw new HsmError('HSM_ARGUMENT_INVALID', 'These shares are not of one secret');
  const secret = Buffer.alloc(length);
  for (const { index, value } of points) {
    const weight = weightOf(
      index,
      points.map((point) => point.index),
    );
    for (const [i, byte] of value.entries()) secret[i] = add(secret[i]!, multiply(weight, byte));
  }
  return secret;
}

/** Horner's rule, for each byte. */
function valueAt(x: number, secret: Buffer, coefficients: Buffer): Buffer {
  const value = Buffer.alloc(secret.length);
  for (let from = coefficients.length - secret.length; from >= 0; from -= secret.length)
    for (let i = 0; i < secret.length; i++) value[i] = multiply(add(value[i]!, coefficients[from + i]!), x);
  for (let i = 0; i < secret.length; i++) value[i] = add(value[i]!, secret[i]!);
  return value;
}

/** Of the point at `index` in Lagrange's interpolation at 0. */
const weightOf = (index: number, indices: readonly number[]): number =>
  indices.filter((other) => other !== index).reduce((product, other) => multiply(product, multiply(other, inverse(add(other, index)))), 1);
