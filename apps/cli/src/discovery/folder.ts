import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readBounded } from './bounded-file';
import type { DiscoveredKey } from './discovered';
import { keysIn } from './key-file';

/** Larger files are not read: no key is that long, and a bundle of certificates hardly. */
const fileBytesMax = 4 * 1024 * 1024;

export interface FolderLook {
  files: number;
  /** What could not be looked at, and why: not the same as holding none. */
  unseen: { place: string; why: string }[];
}

/** Keys in the files of a folder and all below it. Links are not followed, and other file systems that are mounted there are left out. */
export async function* keysInFolder(folder: string, look: FolderLook, fileSystem?: number): AsyncGenerator<DiscoveredKey> {
  let entries: Dirent[];
  let here: number;
  try {
    here = (await stat(folder)).dev;
    // Of files it is not asked: where layers are laid over each other, they have the number of theirs.
    if (fileSystem !== undefined && here !== fileSystem) {
      look.unseen.push({ place: folder, why: 'another file system' });
      return;
    }
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    look.unseen.push({ place: folder, why: (error as NodeJS.ErrnoException).code ?? 'error' });
    return;
  }
  for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* keysInFolder(path, look, here);
    else if (entry.isFile()) yield* keysInFile(path, look);
  }
}

async function* keysInFile(path: string, look: FolderLook): AsyncGenerator<DiscoveredKey> {
  look.files += 1;
  const read = await readBounded(path, fileBytesMax);
  if ('unseen' in read) {
    look.unseen.push({ place: path, why: read.unseen });
    return;
  }
  const found = keysIn(read.bytes);
  read.bytes.fill(0);
  for (const [n, key] of found.entries())
    yield { ...key, place: found.length === 1 ? path : `${path}#${n + 1}`, drift: driftOf(key, read.mode) };
}

function driftOf({ kind }: Pick<DiscoveredKey, 'kind'>, mode: number): DiscoveredKey['drift'] {
  if (kind === 'public' || kind === 'certificate' || (mode & 0o077) === 0) return [];
  return [
    {
      why: `others than its owner can read the file (mode ${(mode & 0o777).toString(8)})`,
      next: 'chmod 600, and take it for known to them',
    },
  ];
}
