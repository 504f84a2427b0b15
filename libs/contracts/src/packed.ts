import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { z } from 'zod';
import { b64u } from './primitives';

export const packedLimits = {
  /** What is longer than this as JSON travels packed; what is not stays as it is, so that services of an earlier version read it. */
  plainChars: 262_144,
  /** Of the JSON text, in UTF-8. */
  bytes: 8_388_608,
  /** In base64url it fits a request (`limits.messageBytes`), and within a signed record of the broker's twice. */
  deflatedBytes: 780_000,
} as const;

/**
 * A JSON document where it is too large for a message as it is: its UTF-8 text as raw DEFLATE (RFC 1951), in base64url, and how many bytes the text has.
 * What inflates to more than it says is refused before there is more of it.
 */
export const Packed = z.strictObject({ deflated: b64u(packedLimits.deflatedBytes), bytes: z.int().min(2).max(packedLimits.bytes) });
export type Packed = z.infer<typeof Packed>;

export class PackedError extends Error {
  constructor(reason: string, options?: { cause?: unknown }) {
    super(reason, options);
    this.name = 'PackedError';
  }
}

/** @throws PackedError when it is over a limit */
export function pack(text: string): Packed {
  const bytes = Buffer.byteLength(text);
  if (bytes > packedLimits.bytes) throw new PackedError(`it has ${bytes} bytes, and at most ${packedLimits.bytes} are taken`);
  const deflated = deflateRawSync(text);
  if (deflated.length > packedLimits.deflatedBytes)
    throw new PackedError(`it has ${deflated.length} bytes deflated, and at most ${packedLimits.deflatedBytes} are taken`);
  return { deflated: deflated.toString('base64url'), bytes };
}

/** The document itself, or packed when it is long. @throws PackedError */
export function packedWhenLong<T>(document: T): T | Packed {
  const text = JSON.stringify(document);
  return text.length > packedLimits.plainChars ? pack(text) : document;
}

/** Whether this is meant to be a packed document. No document of ours has a member of this name. */
export const isPacked = (value: unknown): boolean => typeof value === 'object' && value !== null && Object.hasOwn(value, 'deflated');

/** What was packed; anything else is given back as it is. @throws PackedError */
export function unpacked(value: unknown): unknown {
  if (!isPacked(value)) return value;
  const packed = Packed.safeParse(value);
  if (!packed.success) throw new PackedError('not a packed document within its limits');
  try {
    return JSON.parse(inflate(packed.data).toString('utf8'));
  } catch (cause) {
    throw new PackedError('what was packed is no JSON of the length that it says', { cause });
  }
}

function inflate({ deflated, bytes }: Packed): Buffer {
  const inflated = inflateRawSync(Buffer.from(deflated, 'base64url'), { maxOutputLength: bytes });
  if (inflated.length !== bytes) throw new Error(`${inflated.length} bytes, not ${bytes}`);
  return inflated;
}

/** These fields packed where they are long. @throws PackedError */
export function packFields(fields: Readonly<Record<string, unknown>>, names: readonly string[] = []): Record<string, unknown> {
  const packed = names.filter((name) => fields[name] !== undefined).map((name) => [name, packedWhenLong(fields[name])]);
  return { ...fields, ...Object.fromEntries(packed) };
}

/** The inverse, of what somebody else sent. @throws PackedError */
export function unpackFields(json: unknown, names: readonly string[] = []): unknown {
  if (names.length === 0 || typeof json !== 'object' || json === null || Array.isArray(json)) return json;
  const fields = json as Record<string, unknown>;
  if (!names.some((name) => Object.hasOwn(fields, name) && isPacked(fields[name]))) return json;
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, names.includes(name) ? unpacked(value) : value]));
}
