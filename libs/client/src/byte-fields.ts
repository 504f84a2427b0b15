/** The fields of operations that are byte strings: base64url (RFC 4648 §5) in messages, `Uint8Array` for callers. */
const byteFields = [
  'plaintext',
  'message',
  'digest',
  'signature',
  'mac',
  'random',
  'publicKeySpki',
  'plaintextKey',
  'wrappedKey',
  'sharedSecret',
  'kemCiphertext',
  'wrappedMaterial',
] as const;
export type ByteField = (typeof byteFields)[number];
const isByteField: ReadonlySet<string> = new Set(byteFields);
/** What holds such fields one level deeper: the items of a batch, each of its results, and whom a key is exported to. */
const nested: ReadonlySet<string> = new Set(['items', 'results', 'result', 'recipient']);
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

type Fields = Record<string, unknown>;

/** @throws TypeError for text where bytes belong: guessing an encoding would encrypt something else than the caller meant. */
export function bytesToText(input: Fields): Fields {
  const output: Fields = {};
  for (const name in input) {
    const value = input[name];
    if (name === 'items' && Array.isArray(value)) output[name] = value.map(bytesToText);
    else if (name === 'recipient' && isFields(value)) output[name] = bytesToText(value);
    else if (!isByteField.has(name) || value === undefined) output[name] = value;
    else if (value instanceof Uint8Array)
      output[name] = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64url');
    else throw new TypeError(`${name} must be a Uint8Array`);
  }
  return output;
}

/** Each value gets memory of its own, so that a caller can overwrite it. */
export function textToBytes(result: Fields): Fields {
  for (const name in result) {
    const value = result[name];
    if (isByteField.has(name) && typeof value === 'string') result[name] = new Uint8Array(Buffer.from(value, 'base64url'));
    else if (nested.has(name)) for (const inner of Array.isArray(value) ? value : [value]) if (isFields(inner)) textToBytes(inner);
  }
  return result;
}
