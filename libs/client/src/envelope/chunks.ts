/** A stream's bytes in pieces of exactly `size`, the last one shorter or full; an empty stream has one empty piece. Each says whether it is the last. */
export async function* exactChunks(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<{ bytes: Buffer; last: boolean }> {
  let pending: Uint8Array[] = [];
  let length = 0;
  for await (const piece of source) {
    pending.push(piece);
    length += piece.byteLength;
    // More than `size`: only what is followed by another byte is certainly not the last.
    if (length <= size) continue;
    const all = Buffer.concat(pending, length);
    let at = 0;
    for (; length - at > size; at += size) yield { bytes: all.subarray(at, at + size), last: false };
    pending = [all.subarray(at)];
    length -= at;
  }
  yield { bytes: Buffer.concat(pending, length), last: true };
}

/** The first line (without its line feed, at most `maxBytes`) and what follows it; undefined when there is no such line. */
export async function splitFirstLine(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<{ line: Buffer; rest: AsyncIterable<Uint8Array> } | undefined> {
  const pieces = source[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  for (let end = -1; end === -1; end = head.indexOf(0x0a)) {
    if (head.length > maxBytes) return undefined;
    const { done, value } = await pieces.next();
    if (done) return undefined;
    head = Buffer.concat([head, value]);
  }
  const end = head.indexOf(0x0a);
  if (end > maxBytes) return undefined;
  async function* rest() {
    yield head.subarray(end + 1);
    yield* { [Symbol.asyncIterator]: () => pieces };
  }
  return { line: head.subarray(0, end), rest: rest() };
}
