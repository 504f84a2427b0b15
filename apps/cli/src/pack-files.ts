import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parsePolicies } from '@claviger/authz';
import { packLimits, RegulationPack } from '@claviger/contracts';
import { isOf } from './compliance/pack-blocks';
import { CommandError } from './exit-codes';

/** A pack as it is on disk: what it says, its policies, and its tests where it has some. */
export interface PackFiles {
  readonly pack: RegulationPack;
  readonly policies: string;
  /** Text of `tests.cedar-test.yaml`. */
  readonly tests?: string;
}

/** Those that come with Claviger. */
export const packsFolder = join(import.meta.dirname, '../../../deploy/policies/packs');
const bytesMost = 1_048_576;

/** All packs in a folder of packs, by id. @throws CommandError where one of them is not as it must be */
export function readPacks(folder = packsFolder): PackFiles[] {
  let names: string[];
  try {
    names = readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch (error) {
    throw new CommandError(
      'configuration',
      `The packs in ${folder} cannot be read (${(error as NodeJS.ErrnoException).code})`,
      'Give --packs FOLDER: deploy/policies/packs of a checkout.',
    );
  }
  return names.sort().map((name) => readPack(folder, name));
}

/** @throws CommandError naming those that there are */
export function packOf(packs: readonly PackFiles[], id: string): PackFiles {
  const found = packs.find(({ pack }) => pack.id === id);
  if (found) return found;
  throw new CommandError('usage', `There is no pack ${JSON.stringify(id)}`, `There are ${packs.map(({ pack }) => pack.id).join(', ')}.`);
}

function readPack(folder: string, name: string): PackFiles {
  const file = (part: string) => join(folder, name, part);
  const unusable = (part: string, why: string) => new CommandError('badInput', `${file(part)} ${why}`);
  const text = (part: string): string | undefined => {
    try {
      if (statSync(file(part)).size > bytesMost) throw unusable(part, 'is larger than a megabyte');
      return readFileSync(file(part), 'utf8');
    } catch (error) {
      if (error instanceof CommandError) throw error;
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw unusable(part, `cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  };
  const needed = (part: string): string => {
    const found = text(part);
    if (found === undefined) throw unusable(part, 'is missing');
    return found;
  };
  const read = RegulationPack.safeParse(parsed(needed('pack.json')));
  if (!read.success)
    throw unusable('pack.json', `is no pack: ${read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')}`);
  const pack = read.data;
  if (pack.id !== name) throw unusable('pack.json', `has the id ${pack.id}, and lies in ${name}`);
  const policies = needed('policies.cedar');
  for (const why of problemsOf(pack, policies)) throw unusable('policies.cedar', why);
  const tests = text('tests.cedar-test.yaml');
  return { pack, policies, ...(tests === undefined ? {} : { tests }) };
}

/** What a pack may not be, so that it can be told from what an installation wrote itself and taken out again. */
function* problemsOf(pack: RegulationPack, policies: string): Generator<string> {
  if (policies.length > packLimits.policiesChars) yield `is longer than ${packLimits.policiesChars} characters`;
  if (policies.includes('// ── pack ')) yield 'holds a line by which packs are told apart';
  const read = parsePolicies(policies);
  if (!read.ok) yield read.issues.map(({ where, message }) => `${where}: ${message}`).join('; ');
  const ids = [...(read.ok ? read.policies : []), ...pack.profiles].map(({ id }) => id);
  for (const id of ids) if (!isOf(pack.id, id)) yield `or its profiles have the id ${id}, which does not begin with ${pack.id}-`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
