import { readFileSync } from 'node:fs';
import { BackupDamaged } from '@claviger/backup';
import { RecoveryGroup, Trust } from '@claviger/contracts';
import type { z } from 'zod';
import { CommandError, Finding } from './exit-codes';

/** A JSON file of a site. @throws CommandError */
export function readJson<S extends z.ZodType>(file: string, schema: S, what: string): z.output<S> {
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new CommandError('badInput', `${file} cannot be used (${(error as NodeJS.ErrnoException).code ?? `not ${what}`})`);
  }
}

export const readTrust = (file: string): Trust => readJson(file, Trust, 'a trust.json');
export const readGroup = (file: string): RecoveryGroup => readJson(file, RecoveryGroup, 'a recovery group');

/** What is found wrong with a backup is a finding; a file that cannot be read is not. */
export async function damaged<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof BackupDamaged) throw new Finding(`The backup is damaged: ${error.message}`);
    const { code, path } = error as NodeJS.ErrnoException;
    if (code !== undefined) throw new CommandError('badInput', `${path} cannot be read (${code})`);
    throw error;
  }
}
