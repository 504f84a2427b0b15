import { closeSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** What file systems without hard links answer, such as the FAT and exFAT of removable media (link(2)). */
const withoutLinks = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * Creates a file that only its owner can read: whole and on the disk, or not at all. Never overwrites one. Where there are no hard links, a crash can leave
 * a part of it under its name, which is then in the way; and such file systems have no modes, so that whoever has the medium reads it.
 */
export function writeSecret(path: string, text: string, link: (from: string, to: string) => void = linkSync): void {
  const partial = `${path}.partial`;
  // Of an interrupted run: nothing was made with it yet.
  rmSync(partial, { force: true });
  try {
    create(partial, text);
    try {
      // As a rename, but for a name that is taken: that is refused.
      link(partial, path);
    } catch (error) {
      if (!withoutLinks.has(String((error as NodeJS.ErrnoException).code))) throw error;
      create(path, text);
    }
  } finally {
    rmSync(partial, { force: true });
  }
  const folder = openSync(dirname(path), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

/** Refuses a name that is taken. What could not be written whole is taken away again. */
function create(path: string, text: string): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    const bytes = Buffer.from(`${text}\n`);
    for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
    fsyncSync(file);
    bytes.fill(0);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

export const readSecret = (path: string): string => readFileSync(path, 'utf8').trim();
