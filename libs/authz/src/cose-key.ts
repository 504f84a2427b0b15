import type { JsonWebKey } from 'node:crypto';

/** The members of a public JWK that RFC 7638 §3.2 and RFC 8037 §2 hash: nothing else is in it. */
export type PublicJwk = Readonly<Record<'kty', string> & Pick<JsonWebKey, 'crv' | 'x' | 'y' | 'n' | 'e'>>;

type Value = number | Buffer;

/**
 * The public key of a COSE_Key (RFC 9052 §7, RFC 9053 §7, RFC 8230 §4): ES256 on P-256 with both coordinates, EdDSA on Ed25519, or RS256, which are the ones
 * that `claviger approvals` registers. Read strictly: the members of that type of key and no others, each once, in the shortest form (RFC 8949 §4.2.1), and
 * nothing after them; only their order is free, as authenticators differ in it. Undefined for anything else.
 */
export function jwkOfCose(bytes: Buffer): PublicJwk | undefined {
  const members = mapOf(bytes);
  if (!members) return undefined;
  const [kty, alg] = [members.get(1), members.get(3)];
  const whole = (label: number, length?: number): string | undefined => {
    const value = members.get(label);
    return Buffer.isBuffer(value) && (length === undefined || value.length === length) ? value.toString('base64url') : undefined;
  };
  const is = (labels: number) => members.size === labels;
  if (kty === 2 && alg === -7 && members.get(-1) === 1 && is(5)) {
    const [x, y] = [whole(-2, 32), whole(-3, 32)];
    return x !== undefined && y !== undefined ? { kty: 'EC', crv: 'P-256', x, y } : undefined;
  }
  if (kty === 1 && alg === -8 && members.get(-1) === 6 && is(4)) {
    const x = whole(-2, 32);
    return x !== undefined ? { kty: 'OKP', crv: 'Ed25519', x } : undefined;
  }
  if (kty === 3 && alg === -257 && is(4)) {
    const [n, e] = [members.get(-1), members.get(-2)];
    if (!Buffer.isBuffer(n) || !Buffer.isBuffer(e) || n.length < 256 || !n[0] || !e[0]) return undefined;
    return { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') };
  }
  return undefined;
}

/** A CBOR map of integers to integers and byte strings. */
function mapOf(bytes: Buffer): ReadonlyMap<number, Value> | undefined {
  let at = 0;
  /** The major type and the argument of the next item (RFC 8949 §3). */
  const head = (): [major: number, argument: number] | undefined => {
    const first = bytes[at++] ?? 0xff;
    const short = first & 0x1f;
    if (short < 24) return [first >> 5, short];
    const size = short === 24 ? 1 : short === 25 ? 2 : 0;
    if (size === 0 || at + size > bytes.length) return undefined;
    const argument = bytes.readUIntBE(at, size);
    at += size;
    return argument < (size === 1 ? 24 : 256) ? undefined : [first >> 5, argument];
  };
  const item = (): Value | undefined => {
    const [major, argument] = head() ?? [7, 0];
    if (major === 0) return argument;
    if (major === 1) return -1 - argument;
    if (major !== 2 || at + argument > bytes.length) return undefined;
    at += argument;
    return bytes.subarray(at - argument, at);
  };
  const [major, length] = head() ?? [7, 0];
  if (major !== 5) return undefined;
  const members = new Map<number, Value>();
  for (let left = length; left > 0; left--) {
    const [label, value] = [item(), item()];
    if (typeof label !== 'number' || value === undefined || members.has(label)) return undefined;
    members.set(label, value);
  }
  return at === bytes.length ? members : undefined;
}
