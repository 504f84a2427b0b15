import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs';

/** Creates a file that only its owner can read; never overwrites one. */
export function writeSecret(path: string, text: string): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    writeSync(file, `${text}\n`);
  } finally {
    closeSync(file);
  }
}

export const readSecret = (path: string): string => readFileSync(path, 'utf8').trim();

/** What the file holds, or what `make` gives, from now on held: a step that was interrupted goes on with the secrets that it had. */
export function keptSecret(path: string, make: () => string): string {
  if (!existsSync(path)) writeSecret(path, make());
  return readSecret(path);
}
