import { existsSync, readFileSync } from 'node:fs';
import { type RecoveryGroup, type Trust, transcriptCharsMost } from '@claviger/contracts';
import { CommandError } from './exit-codes';

/** A transcript as it was signed. */
export function readTranscriptFile(file: string): string {
  const text = read(file).trim();
  if (text.length > transcriptCharsMost || text.split('.').length !== 3)
    throw new CommandError('badInput', `${file} is not a signed transcript`, 'Give transcript.jws of the folder of the ceremony.');
  return text;
}

/** Whether trust.json says that this is the group's public key. @throws CommandError: a group that it does not know is nobody's to encrypt to */
export function assertTrusted(group: RecoveryGroup, trust: Trust): void {
  if (trust.recovery?.[group.groupId] !== group.publicKeySpki)
    throw new CommandError('badInput', `The public key of recovery group ${group.groupId} is not the one in trust.json`);
}

function read(file: string): string {
  if (!existsSync(file)) throw new CommandError('badInput', `${file} is not there`);
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError('badInput', `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
