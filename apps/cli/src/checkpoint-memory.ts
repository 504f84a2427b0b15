import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { CommandError } from './exit-codes';
import { writePrivately } from './files';
import type { Remembered } from './ledger-verification';

/** One file per log, in CLAVIGER_STATE_DIR, else in the user's state folder (XDG Base Directory Specification). */
export const defaultMemoryFile = (origin: string, environment: NodeJS.ProcessEnv): string =>
  join(
    environment.CLAVIGER_STATE_DIR || join(environment.XDG_STATE_HOME || join(homedir(), '.local/state'), 'claviger'),
    `checkpoint-${origin.replaceAll(/[^A-Za-z0-9.-]/g, '_')}.json`,
  );

/** Undefined only when there is no such file: one that cannot be read is not "never verified". @throws CommandError */
export function recall(file: string, origin: string): Remembered | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CommandError('badInput', `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  const damaged = new CommandError(
    'badInput',
    `${file} does not hold a checkpoint of ${origin}`,
    'Give another --state-file, or look who changed it.',
  );
  try {
    const remembered = JSON.parse(text) as Remembered;
    const sound =
      remembered.origin === origin && Number.isSafeInteger(remembered.size) && Buffer.from(remembered.root, 'base64').length === 32;
    if (sound) return remembered;
  } catch {
    throw damaged;
  }
  throw damaged;
}

export const remember = (file: string, checkpoint: Remembered): void => writePrivately(file, `${JSON.stringify(checkpoint, null, 2)}\n`);

/** The signed note in a file: by itself, as a witness has it, or in what `audit verify` remembers. @throws CommandError */
export function checkpointIn(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError('badInput', `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (!text.startsWith('{')) return text;
  try {
    const { note } = JSON.parse(text) as Partial<Remembered>;
    if (typeof note === 'string') return note;
  } catch {}
  throw new CommandError(
    'badInput',
    `${file} holds no checkpoint`,
    'Give the signed note of one, or what claviger audit verify remembers.',
  );
}
