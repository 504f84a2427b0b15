import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

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
