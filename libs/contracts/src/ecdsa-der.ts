/**
 * ECDSA signatures as DER: SEQUENCE of INTEGER r and INTEGER s (RFC 3279 §2.2.3), beside r ‖ s, each as long as the order (IEEE P1363).
 * Only the one DER form is read: a second spelling of a signature would make it malleable (CVE-2020-13822 and the like).
 */
export function derOfSignature(raw: Buffer): Buffer {
  const half = raw.length / 2;
  const body = Buffer.concat([integer(raw.subarray(0, half)), integer(raw.subarray(half))]);
  // Above 127 bytes only P-521, whose longest is 139.
  return Buffer.concat([Buffer.from(body.length < 0x80 ? [0x30, body.length] : [0x30, 0x81, body.length]), body]);
}

/** r ‖ s in `signatureBytes`, or undefined when it is not the DER of two numbers from 1 up that fit. */
export function signatureOfDer(der: Buffer, signatureBytes: number): Buffer | undefined {
  const half = signatureBytes / 2;
  const long = der[1] === 0x81;
  const bodyAt = long ? 3 : 2;
  const length = long ? der[2] : der[1];
  if (der[0] !== 0x30 || length === undefined || length !== der.length - bodyAt || (long ? length < 0x80 : length >= 0x80))
    return undefined;
  const r = readInteger(der, bodyAt, half);
  const s = r && readInteger(der, r.end, half);
  if (!r || !s || s.end !== der.length) return undefined;
  const raw = Buffer.alloc(signatureBytes);
  r.magnitude.copy(raw, half - r.magnitude.length);
  s.magnitude.copy(raw, signatureBytes - s.magnitude.length);
  return raw;
}

function integer(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const magnitude = first === -1 ? Buffer.alloc(1) : bytes.subarray(first);
  const zero = magnitude[0]! & 0x80 ? [0] : [];
  return Buffer.concat([Buffer.from([0x02, magnitude.length + zero.length, ...zero]), magnitude]);
}

function readInteger(der: Buffer, at: number, most: number): { magnitude: Buffer; end: number } | undefined {
  const length = der[at + 1];
  const end = at + 2 + (length ?? 0);
  if (der[at] !== 0x02 || length === undefined || length === 0 || length >= 0x80 || end > der.length) return undefined;
  const [first, second] = [der[at + 2]!, der[at + 3] ?? 0];
  if (first & 0x80) return undefined;
  if (first === 0 && (length === 1 || !(second & 0x80))) return undefined;
  const magnitude = der.subarray(first === 0 ? at + 3 : at + 2, end);
  return magnitude.length > most ? undefined : { magnitude, end };
}
