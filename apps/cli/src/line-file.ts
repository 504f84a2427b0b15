import { createHash } from 'node:crypto';

const newline = 0x0a;

/** A line, without its end, and where it ends in the file. */
export interface FileLine {
  text: string;
  /** 1 for the first. */
  number: number;
  /** SHA-256 of everything up to the end of this line, base64url. */
  digest: () => string;
}

/** Lines of a file as they come. One of more than `maxBytes` ends it with an error: nothing grows without bounds. @throws RangeError with the line's number */
export async function* linesOf(file: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<FileLine> {
  const hash = createHash('sha256');
  let [rest, number]: [Buffer, number] = [Buffer.alloc(0), 0];
  const line = (bytes: Buffer): FileLine => {
    number += 1;
    hash.update(bytes).update('\n');
    const here = hash.copy();
    return { text: bytes.toString('utf8'), number, digest: () => here.copy().digest('base64url') };
  };
  const tooLong = () => new RangeError(`line ${number + 1} has more than ${maxBytes} bytes`);
  for await (const chunk of file) {
    let [held, start]: [Buffer, number] = [
      rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([rest, chunk]),
      0,
    ];
    for (let end = held.indexOf(newline, start); end !== -1; end = held.indexOf(newline, start)) {
      if (end - start > maxBytes) throw tooLong();
      yield line(held.subarray(start, end));
      start = end + 1;
    }
    rest = held.subarray(start);
    if (rest.length > maxBytes) throw tooLong();
  }
  if (rest.length > 0) yield line(rest);
}
