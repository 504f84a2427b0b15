import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { HsmError } from './hsm-error';

const groupAndOthers = 0o077;

/**
 * The PIN in a file: its text without a final line break. PINs never travel in arguments or environment variables, which other users can list.
 * @throws HsmError HSM_CONFIGURATION when the file cannot be read, is empty, or is open to anyone but its owner
 */
export function readPin(path: string): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (cause) {
    throw new HsmError('HSM_CONFIGURATION', `The PIN file ${path} cannot be read`, { cause });
  }
  try {
    // Of the open file, so that what was checked is what is read.
    const { mode } = fstatSync(file);
    if (mode & groupAndOthers) {
      const octal = (mode & 0o777).toString(8);
      throw new HsmError(
        'HSM_CONFIGURATION',
        `The PIN file ${path} has mode ${octal}, open to other users: chmod 600 it (in a container: mount the secret with mode 0400)`,
      );
    }
    const pin = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    if (pin.length === 0) throw new HsmError('HSM_CONFIGURATION', `The PIN file ${path} is empty`);
    return pin;
  } finally {
    closeSync(file);
  }
}
