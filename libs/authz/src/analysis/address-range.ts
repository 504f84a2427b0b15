import { isIP } from 'node:net';

/**
 * Addresses that tell a range (`10.0.0.0/8`, `2001:db8::/32`, or one address) from what is beside it: its first and last one, and those just outside. As
 * written where it is no range. Ranges in CIDR notation (RFC 4632 §3.1, RFC 4291 §2.3).
 */
export function edgesOf(range: string): string[] {
  const [address, length] = range.split('/') as [string, string | undefined];
  const version = isIP(address);
  if (version === 0) return [address];
  const bits = version === 4 ? 32 : 128;
  const fixed = length === undefined ? bits : Number(length);
  if (!(Number.isInteger(fixed) && fixed >= 0 && fixed <= bits)) return [address];
  const size = 1n << BigInt(bits - fixed);
  const first = (numberOf(address, version) / size) * size;
  const last = first + size - 1n;
  const most = (1n << BigInt(bits)) - 1n;
  return [...new Set([first, last, first - 1n, last + 1n])].filter((at) => at >= 0n && at <= most).map((at) => addressOf(at, version));
}

function numberOf(address: string, version: number): bigint {
  if (version === 4) return partsNumber(address.split('.').map(Number), 8n);
  const [head, tail] = address.split('::').map((half) => (half === '' ? [] : half.split(':').flatMap(groupsOf))) as [number[], number[]?];
  const groups = tail === undefined ? head : [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return partsNumber(groups, 16n);
}

/** The last one may be written as an address of version 4. */
function groupsOf(text: string): number[] {
  if (!text.includes('.')) return [Number.parseInt(text, 16)];
  const [a, b, c, d] = text.split('.').map(Number) as [number, number, number, number];
  return [a * 256 + b, c * 256 + d];
}

const partsNumber = (parts: readonly number[], bits: bigint): bigint => parts.reduce((all, part) => (all << bits) | BigInt(part), 0n);

function addressOf(at: bigint, version: number): string {
  const [count, bits] = version === 4 ? [4, 8n] : [8, 16n];
  const parts = Array.from({ length: count }, (_, n) => (at >> (bits * BigInt(count - 1 - n))) & ((1n << bits) - 1n));
  return version === 4 ? parts.join('.') : parts.map((part) => part.toString(16)).join(':');
}
