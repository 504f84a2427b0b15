import { closeSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** Creates a file that only its owner can read: whole and on the disk, or not at all. Never overwrites one. */
export function writeSecret(path: string, text: string): void {
  const partial = `${path}.partial`;
  // Of an interrupted run: nothing was made with it yet.
  rmSync(partial, { force: true });
  try {
    const file = openSync(partial, 'wx', 0o600);
    try {
      writeSync(file, `${text}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    // As a rename, but for a name that is taken: that is refused.
    linkSync(partial, path);
  } finally {
    rmSync(partial, { force: true });
  }
  const folder = openSync(dirname(path), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

export const readSecret = (path: string): string => readFileSync(path, 'utf8').trim();
