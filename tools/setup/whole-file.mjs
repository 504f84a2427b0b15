// A thing is there whole or not at all: it is made under another name and renamed as the last act.
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** `make(temporaryPath)` makes a file or folder; afterwards it is at `path`. What an earlier, interrupted attempt left is removed first. */
export async function makeWhole(path, make) {
  const temporary = `${path}.making`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(dirname(path), { recursive: true });
  try {
    await make(temporary);
    await rm(path, { recursive: true, force: true });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}
