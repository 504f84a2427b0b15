/** Decode standard base64 (RFC 4648 §4) in its one canonical spelling; undefined for any other, since Node's decoder forgives nearly everything. */
export const fromBase64 = (text: string): Buffer | undefined => canonical(text, 'base64');

/** Decode base64url without padding (RFC 4648 §5) in its one canonical spelling; undefined for any other. */
export const fromBase64Url = (text: string): Buffer | undefined => canonical(text, 'base64url');

function canonical(text: string, encoding: 'base64' | 'base64url'): Buffer | undefined {
  const bytes = Buffer.from(text, encoding);
  return bytes.toString(encoding) === text ? bytes : undefined;
}
