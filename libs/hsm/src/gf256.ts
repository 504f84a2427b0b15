/**
 * The field GF(2^8) of AES: polynomials over GF(2) modulo x^8 + x^4 + x^3 + x + 1 (0x11b; FIPS 197 §4). Elements are whole numbers from 0 to 255.
 * The work never depends on the values: no branch and no table is chosen by one, since they are bytes of secrets.
 */
const polynomial = 0x11b;
const bits = 8;

/** Addition, and subtraction as well. */
export const add = (a: number, b: number): number => a ^ b;

export function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 0; bit < bits; bit++) {
    product ^= a & -((b >> bit) & 1);
    a = (a << 1) ^ (polynomial & -(a >> (bits - 1)));
  }
  return product;
}

/** a^254, which is 1/a for every a but 0 (FIPS 197 §5.1.1), and 0 for that: the product of a^2, a^4, … a^128. */
export function inverse(a: number): number {
  let power = a;
  let product = 1;
  for (let bit = 1; bit < bits; bit++) {
    power = multiply(power, power);
    product = multiply(product, power);
  }
  return product;
}
