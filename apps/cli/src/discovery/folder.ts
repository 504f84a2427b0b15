import { type Dirent } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiscoveredKey } from './discovered';
import { keysIn } from './key-file';

/** Larger files are not opened: no key is that long, and a bundle of certificates hardly. */
const fileBytesMax = 4 * 1024 * 1024;

export interface FolderLook {
  files: number;
  /** What could not be looked at, and why: not the same as holding none. */
  unseen: { place: string; why: string }[];
}

/** Keys in the files of a folder and all below it. Links are not followed. */
export async function* keysInFolder(folder: string, look: FolderLook): AsyncGenerator<DiscoveredKey> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    look.unseen.push({ place: folder, why: codeOf(error) });
    return;
  }
  for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* keysInFolder(path, look);
    else if (entry.isFile()) yield* keysInFile(path, look);
  }
}

async function* keysInFile(path: string, look: FolderLook): AsyncGenerator<DiscoveredKey> {
  look.files += 1;
  let bytes: Buffer | undefined;
  let mode = 0;
  try {
    const file = await open(path);
    try {
      const stat = await file.stat();
      mode = stat.mode;
      if (stat.size > fileBytesMax) look.unseen.push({ place: path, why: 'more than 4 MiB' });
      else bytes = await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    look.unseen.push({ place: path, why: codeOf(error) });
  }
  if (!bytes) return;
  const found = keysIn(bytes);
  bytes.fill(0);
  for (const [n, key] of found.entries())
    yield { ...key, place: found.length === 1 ? path : `${path}#${n + 1}`, drift: driftOf(key, mode) };
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

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'error';
