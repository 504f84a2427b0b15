/** The fields of the crypto operations that are byte strings: base64url (RFC 4648 §5) in messages, `Uint8Array` for callers. */
export type ByteField = 'plaintext' | 'message' | 'digest' | 'signature' | 'random';
const byteFields: ReadonlySet<string> = new Set<ByteField>(['plaintext', 'message', 'digest', 'signature', 'random']);

/** @throws TypeError for text where bytes belong: guessing an encoding would encrypt something else than the caller meant. */
export function bytesToText(input: Record<string, unknown>): Record<string, unknown> {
  const output: Record<string, unknown> = {};
  for (const name in input) {
    const value = input[name];
    if (!byteFields.has(name) || value === undefined) output[name] = value;
    else if (value instanceof Uint8Array)
      output[name] = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64url');
    else throw new TypeError(`${name} must be a Uint8Array`);
  }
  return output;
}

/** Each value gets memory of its own, so that a caller can overwrite it. */
export function textToBytes(result: Record<string, unknown>): Record<string, unknown> {
  for (const name in result) {
    const value = result[name];
    if (byteFields.has(name) && typeof value === 'string') result[name] = new Uint8Array(Buffer.from(value, 'base64url'));
  }
  return result;
}
