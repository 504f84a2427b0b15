/** Key usage of a certificate (RFC 5280 §4.2.1.3), which Node does not show. */
export interface KeyUsage {
  readonly digitalSignature: boolean;
  readonly signsCertificates: boolean;
  readonly signsCrls: boolean;
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
}

/** DER encoding of id-ce-keyUsage, 2.5.29.15. */
const keyUsageOid = Buffer.from('551d0f', 'hex');
const sequence = 0x30;
const extensionsTag = 0xa3;
const oidTag = 0x06;
const octetString = 0x04;
const bitString = 0x03;

/** Undefined where the certificate does not say. Throws when it is no DER certificate. */
export function keyUsageOf(der: Buffer): KeyUsage | undefined {
  const [certificate] = elements(der);
  const [tbs] = elements(contentOf(certificate, sequence));
  const extensions = elements(contentOf(tbs, sequence)).find(({ tag }) => tag === extensionsTag);
  if (!extensions) return undefined;
  const [list] = elements(extensions.content);
  for (const extension of elements(contentOf(list, sequence))) {
    const parts = elements(contentOf(extension, sequence));
    if (!contentOf(parts[0], oidTag).equals(keyUsageOid)) continue;
    const [bits] = elements(contentOf(parts.at(-1), octetString));
    // The first octet says how many bits of the last one are unused; bit 0 is the highest of the second.
    const flags = contentOf(bits, bitString)[1] ?? 0;
    return { digitalSignature: (flags & 0x80) !== 0, signsCertificates: (flags & 0x04) !== 0, signsCrls: (flags & 0x02) !== 0 };
  }
  return undefined;
}

function contentOf(element: Element | undefined, tag: number): Buffer {
  if (element?.tag !== tag) throw new Error('not a DER certificate');
  return element.content;
}

/** The elements that stand one after another (X.690 §8.1): definite lengths of at most three octets. */
function elements(bytes: Buffer): Element[] {
  const found: Element[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at] as number;
    const first = bytes[at + 1];
    if (first === undefined) throw new Error('DER ends early');
    const octets = first & 0x80 ? first & 0x7f : 0;
    if (octets > 3 || (first & 0x80 && octets === 0)) throw new Error('DER with a length that is not taken');
    const start = at + 2 + octets;
    const length = octets === 0 ? first : bytes.subarray(at + 2, start).reduce((sum, octet) => sum * 256 + octet, 0);
    if (start + length > bytes.length) throw new Error('DER ends early');
    found.push({ tag, content: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return found;
}
