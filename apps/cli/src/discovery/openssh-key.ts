import { createPublicKey } from 'node:crypto';
import type { DiscoveredKey } from './discovered';
import { algorithmOfKey, named, spkiSha256 } from './key-algorithm';

const magic = Buffer.from('openssh-key-v1\0');

/**
 * The public side of an OpenSSH private key (openssh-portable, PROTOCOL.key): which cipher protects it, and whose it is. Its secret part is not read.
 * @throws Error when it is none
 */
export function opensshKey(pem: string): Omit<DiscoveredKey, 'place' | 'drift'> {
  const bytes = Buffer.from(pem.replaceAll(/-----[^\n]*-----|\s/g, ''), 'base64');
  if (!bytes.subarray(0, magic.length).equals(magic)) throw new Error('not an OpenSSH key');
  const outer = new Reader(bytes.subarray(magic.length));
  const cipher = outer.string().toString('latin1');
  // Name of the key derivation, and its options.
  outer.string();
  outer.string();
  if (outer.uint32() < 1) throw new Error('no key in it');
  const inner = new Reader(outer.string());
  const type = inner.string().toString('latin1');
  return { kind: 'private', protection: cipher === 'none' ? 'none' : 'password', ...publicHalf(type, inner) };
}

function publicHalf(type: string, parts: Reader) {
  const b64u = (bytes: Buffer) => bytes.toString('base64url');
  if (type === 'ssh-ed25519') return ofJwk({ kty: 'OKP', crv: 'Ed25519', x: b64u(parts.string()) });
  if (type === 'ssh-rsa') {
    const [e, n] = [parts.string(), parts.string()];
    return ofJwk({ kty: 'RSA', e: b64u(unsigned(e)), n: b64u(unsigned(n)) });
  }
  const curve = { nistp256: 'P-256', nistp384: 'P-384', nistp521: 'P-521' }[parts.string().toString('latin1')];
  if (!type.startsWith('ecdsa-sha2-') || curve === undefined) return named(type, 0);
  const point = parts.string();
  const half = (point.length - 1) / 2;
  return ofJwk({ kty: 'EC', crv: curve, x: b64u(point.subarray(1, 1 + half)), y: b64u(point.subarray(1 + half)) });
}

function ofJwk(key: Record<string, string>) {
  const read = createPublicKey({ key, format: 'jwk' });
  return { ...algorithmOfKey(read), publicKeySha256: spkiSha256(read) };
}

/** mpint (RFC 4251 §5) without the zero that keeps it positive. */
const unsigned = (mpint: Buffer): Buffer => (mpint[0] === 0 ? mpint.subarray(1) : mpint);

/** RFC 4251 §5: uint32, and strings that begin with their length. */
class Reader {
  private at = 0;
  constructor(private readonly bytes: Buffer) {}

  uint32(): number {
    const value = this.bytes.readUInt32BE(this.at);
    this.at += 4;
    return value;
  }

  string(): Buffer {
    const length = this.uint32();
    if (length > this.bytes.length - this.at) throw new RangeError('a string beyond its end');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}
