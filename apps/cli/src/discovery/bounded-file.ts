import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** Content and mode of a file, or why it was not read. */
export type BoundedRead = { bytes: Buffer; mode: number } | { unseen: string };

/** Of a file that says that it is empty, as those of /proc do. */
const firstBytes = 65_536;

/**
 * At most `bytesMost` of a regular file. Names change hands while a folder is walked: a link that is there by now is not followed, and a pipe, a device or a
 * file that grows keeps nobody waiting.
 */
export async function readBounded(path: string, bytesMost: number): Promise<BoundedRead> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = await file.stat();
      if (!stat.isFile()) return { unseen: 'no regular file' };
      const bytes = stat.size > bytesMost ? undefined : await readAtMost(file, bytesMost, stat.size);
      return bytes ? { bytes, mode: stat.mode } : { unseen: `more than ${bytesMost / 1_048_576} MiB` };
    } finally {
      await file.close();
    }
  } catch (error) {
    return { unseen: (error as NodeJS.ErrnoException).code ?? 'error' };
  }
}

/** Undefined when there is more; what was read of it is overwritten. */
async function readAtMost(file: FileHandle, most: number, size: number): Promise<Buffer | undefined> {
  let held = Buffer.alloc(Math.min(most, size || firstBytes) + 1);
  for (let length = 0; ; ) {
    const { bytesRead } = await file.read(held, length, held.length - length, null);
    if (bytesRead === 0) return held.subarray(0, length);
    length += bytesRead;
    if (length < held.length) continue;
    const next = length > most ? undefined : Buffer.alloc(Math.min(most + 1, 2 * length));
    if (next) held.copy(next);
    held.fill(0);
    if (!next) return undefined;
    held = next;
  }
}
