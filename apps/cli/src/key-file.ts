import { isDeepStrictEqual } from 'node:util';
import { type Item, type KeyDescription, keyOperations, usagesOf } from '@claviger/contracts';
import { CommandError } from './exit-codes';

/** A key that is to be made, as a line of the file says it. */
export interface WantedKey {
  line: number;
  key: Item<typeof keyOperations.create>;
}

/** One JSON object a line, with the fields of keys.create; empty lines are passed over. @throws CommandError that names the line */
export async function* wantedKeys(file: AsyncIterable<Uint8Array>): AsyncGenerator<WantedKey> {
  let line = 0;
  for await (const text of linesOf(file)) {
    line++;
    if (text.trim() !== '') yield { line, key: wantedKey(text, line) };
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

const lineCharsMax = 100_000;

async function* linesOf(file: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const part of file) {
    rest += decoder.decode(part, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() as string;
    if (rest.length > lineCharsMax) throw new CommandError('badInput', `a line has more than ${lineCharsMax} characters`);
    yield* lines;
  }
  yield rest + decoder.decode();
}

/**
 * Fields in which a key that is there is not what the line asks for. Of what changes by itself or by commands (state, versions) nothing is compared;
 * what a line leaves out has its default, or that of a profile.
 */
export function differences({ key: wanted }: WantedKey, key: KeyDescription, principal: string): string[] {
  const asked: Partial<KeyDescription> = {
    ...{ name: wanted.name, algorithm: wanted.algorithm, usage: wanted.usage ?? usagesOf(wanted.algorithm)[0] },
    ...{ environment: wanted.environment, classification: wanted.classification, owner: wanted.owner ?? principal },
    ...{ team: wanted.team, contact: wanted.contact, description: wanted.description, tags: wanted.tags },
    consumers: [...wanted.consumers].sort(),
    ...(wanted.schedule ? { schedule: wanted.schedule } : {}),
    ...(wanted.cryptoperiod ? { cryptoperiod: wanted.cryptoperiod } : {}),
    ...(wanted.atEnd ? { atEnd: wanted.atEnd } : {}),
  };
  const is: Partial<KeyDescription> = { ...key, consumers: [...key.consumers].sort() };
  return (Object.keys(asked) as (keyof KeyDescription)[]).filter((field) => !isDeepStrictEqual(asked[field], is[field]));
}
