import type { CeremonyTranscript } from '@claviger/contracts';
import { CommandError } from './exit-codes';

/** As the options of a ceremony name them. */
export interface PeopleOptions {
  custodian: string[];
  witness?: string[];
  operator?: string;
  threshold: string;
}

export interface Custodian {
  name: string;
  /** To whose key the share is encrypted, where one was given. */
  publicKeyFile?: string;
}

export interface People {
  custodians: Custodian[];
  threshold: number;
  participants: CeremonyTranscript['participants'];
}

const custodiansMost = 16;
const thresholdLeast = 2;

/** Names are distinct over all roles, and at least two people take part beside whoever types: that is what split knowledge is. @throws CommandError */
export function peopleOf({ custodian, witness = [], operator, threshold: text }: PeopleOptions): People {
  const custodians = custodian.map(custodianOf);
  const threshold = Number(text);
  if (custodians.length < thresholdLeast || custodians.length > custodiansMost)
    throw new CommandError('usage', `--custodian is given ${thresholdLeast} to ${custodiansMost} times, once for each`);
  if (!Number.isInteger(threshold) || threshold < thresholdLeast || threshold > custodians.length)
    throw new CommandError(
      'usage',
      `--threshold wants a number from ${thresholdLeast} to that of the custodians (${custodians.length})`,
      'One share that were enough would be the whole key in one hand.',
    );
  const participants: People['participants'] = [
    ...custodians.map(({ name }) => ({ name, role: 'custodian' as const })),
    ...witness.map((name) => ({ name: printableName('--witness', name), role: 'witness' as const })),
    ...(operator === undefined ? [] : [{ name: printableName('--operator', operator), role: 'operator' as const }]),
  ];
  const seen = new Set<string>();
  for (const { name } of participants) {
    const folded = name.normalize('NFKC').toLowerCase();
    if (seen.has(folded)) throw new CommandError('usage', `${name} is named twice: each person has one role`);
    seen.add(folded);
  }
  return { custodians, threshold, participants };
}

function custodianOf(text: string): Custodian {
  const at = text.indexOf('=');
  if (at === -1) return { name: printableName('--custodian', text) };
  return { name: printableName('--custodian', text.slice(0, at)), publicKeyFile: text.slice(at + 1) };
}

function printableName(option: string, text: string): string {
  const name = text.trim();
  if (name.length === 0 || name.length > 128 || /\p{Cc}/u.test(name))
    throw new CommandError('usage', `${option} wants a name of 1 to 128 printable characters`);
  return name;
}
