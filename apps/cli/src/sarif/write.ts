import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { CommandError } from '../exit-codes';
import { sarifLog, type Told } from './log';
import { type Places, placesIn } from './places';

/** Whole or not at all. @throws CommandError */
export function writeSarif(path: string, command: string, told: readonly Told[]): void {
  const partial = `${path}.${process.pid}.partial`;
  try {
    writeFileSync(partial, `${JSON.stringify(sarifLog(command, told, process.cwd()), null, 2)}\n`);
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw new CommandError('badInput', `--sarif: ${path} cannot be written (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
}

/** Of a folder on disk. A file that is not there has no lines. */
export const placesOf = (folder: string): Places =>
  placesIn(folder, (file) => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return undefined;
    }
  });
