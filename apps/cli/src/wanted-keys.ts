import { isDeepStrictEqual } from 'node:util';
import { type Item, type KeyDescription, keyOperations, usagesOf } from '@claviger/contracts';
import { CommandError } from './exit-codes';
import { linesOf } from './line-file';

/** A key that is to be made, as a line of the file says it. */
export interface WantedKey {
  line: number;
  key: Item<typeof keyOperations.create>;
}

const lineBytesMax = 100_000;

/** One JSON object a line, with the fields of keys.create; empty lines are passed over. @throws CommandError that names the line */
export async function* wantedKeys(file: AsyncIterable<Uint8Array>): AsyncGenerator<WantedKey> {
  try {
    for await (const { text, number } of linesOf(file, lineBytesMax))
      if (text.trim() !== '') yield { line: number, key: wantedKey(text, number) };
  } catch (error) {
    if (error instanceof RangeError) throw new CommandError('badInput', error.message);
    throw error;
  }
}

function wantedKey(text: string, line: number): WantedKey['key'] {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    throw new CommandError('badInput', `line ${line} is not JSON`, 'Each line is one object with the fields of keys.create.');
  }
  const parsed = keyOperations.create.item.safeParse(read);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CommandError('badInput', `line ${line}: ${issue?.path.join('.') || 'the object'}: ${issue?.message}`);
}

/**
 * Fields in which a key that is there is not what the line asks for. Of what changes by itself or by commands (state, versions) nothing is compared;
 * what a line leaves out has its default, or that of a profile.
 */
export const differences = ({ key: wanted }: WantedKey, key: KeyDescription, principal: string): string[] =>
  Object.entries(isAsAsked)
    .filter(([, same]) => !same(wanted, key, principal))
    .map(([field]) => field);

type Wanted = WantedKey['key'];
type IsAsAsked = (wanted: Wanted, key: KeyDescription, principal: string) => boolean;

const sameOrDefault =
  (field: 'cryptoperiod' | 'schedule' | 'atEnd'): IsAsAsked =>
  (wanted, key) =>
    wanted[field] === undefined || isDeepStrictEqual(wanted[field], key[field]);
const same =
  (field: keyof Wanted & keyof KeyDescription): IsAsAsked =>
  (wanted, key) =>
    isDeepStrictEqual(wanted[field], key[field]);
const sameSet =
  (field: 'consumers' | 'residency'): IsAsAsked =>
  (wanted, key) =>
    isDeepStrictEqual(wanted[field]?.toSorted(), key[field]?.toSorted());

/** Every field of keys.create: one that is added there does not compile until it is here. */
const isAsAsked: Record<keyof Wanted, IsAsAsked> = {
  ...{ name: same('name'), algorithm: same('algorithm'), environment: same('environment'), classification: same('classification') },
  usage: (wanted, key) => (wanted.usage ?? usagesOf(wanted.algorithm)[0]) === key.usage,
  owner: (wanted, key, principal) => (wanted.owner ?? principal) === key.owner,
  ...{ origin: same('origin'), exportable: same('exportable') },
  ...{ team: same('team'), contact: same('contact'), description: same('description'), tags: same('tags') },
  ...{ consumers: sameSet('consumers'), residency: sameSet('residency') },
  activateAt: (wanted, key) =>
    key.activationAt === undefined ? wanted.activateAt === undefined || beganInactive(key) : wanted.activateAt === key.activationAt,
  ...{ cryptoperiod: sameOrDefault('cryptoperiod'), schedule: sameOrDefault('schedule'), atEnd: sameOrDefault('atEnd') },
};

/** It was made to wait, and its time has come, or somebody activated it since. */
const beganInactive = ({ versions }: KeyDescription): boolean => versions[0]?.transitions[0]?.to === 'pre-activation';
