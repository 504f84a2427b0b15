import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** PATH without the folders that npm puts in front: what the machine itself has. */
export const machinePath = () =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder && !folder.includes('node_modules'))
    .join(delimiter);

/** The first executable file of that name on the machine's PATH, or undefined. System folders count even where an ordinary user's PATH lacks them. */
export function onPath(name) {
  for (const folder of [...machinePath().split(delimiter), '/usr/sbin', '/sbin']) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      if (statSync(path).isFile()) return path;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

/** The first `major.minor[.patch]` in a text as numbers, or undefined. */
export const versionIn = (text) =>
  /(\d+)\.(\d+)(?:\.(\d+))?/
    .exec(text)
    ?.slice(1)
    .map((part) => Number(part ?? 0));

/** Compares versions part by part. */
export const atLeast = (version, minimum) => {
  if (!version) return false;
  for (const [index, part] of minimum.entries()) if ((version[index] ?? 0) !== part) return (version[index] ?? 0) > part;
  return true;
};
