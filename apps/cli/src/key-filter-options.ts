import {
  type Algorithm,
  type Classification,
  type Custody,
  type Environment,
  KeyFilter,
  type KeyState,
  type KeyUsage,
  type Origin,
} from '@claviger/contracts';
import type { Command } from 'commander';
import { CommandError } from './exit-codes';
import { timestamp } from './pairs';

type YesNo = string | true;
export type KeyFilterOptions = Partial<
  Record<
    | 'state'
    | 'algorithm'
    | 'usage'
    | 'environment'
    | 'classification'
    | 'owner'
    | 'team'
    | 'consumer'
    | 'custody'
    | 'kek'
    | 'tag'
    | 'namePrefix'
    | 'createdFrom'
    | 'createdBefore'
    | 'origin',
    string
  >
> & { exportable?: YesNo; suspended?: YesNo; pendingDeletion?: YesNo };

/** Flags that say which keys are meant: those of which all that is given is so. */
export const withKeyFilter = (command: Command): Command =>
  command
    .option('--state <state>', 'of the primary version')
    .option('--algorithm <algorithm>')
    .option('--usage <usage>')
    .option('--environment <environment>')
    .option('--classification <classification>')
    .option('--owner <principal>')
    .option('--team <name>')
    .option('--consumer <principal>', 'that may use it')
    .option('--custody <custody>', 'wrapped or token')
    .option('--kek <kek>', 'that a version of it is wrapped under')
    .option('--tag <name[=value]>')
    .option('--name-prefix <text>', 'what its name begins with')
    .option('--origin <origin>', 'generated or external')
    .option('--exportable [yes-or-no]')
    .option('--suspended [yes-or-no]')
    .option('--pending-deletion [yes-or-no]', 'its deletion is scheduled and has not happened')
    .option('--created-from <time>', 'RFC 3339; its first version')
    .option('--created-before <time>', 'RFC 3339');

/** @throws CommandError for what no key can be asked by */
export function keyFilterOf(options: KeyFilterOptions): KeyFilter {
  const { tag, suspended, pendingDeletion, createdFrom, createdBefore } = options;
  const given = {
    state: options.state as KeyState | undefined,
    algorithm: options.algorithm as Algorithm | undefined,
    usage: options.usage as KeyUsage | undefined,
    environment: options.environment as Environment | undefined,
    classification: options.classification as Classification | undefined,
    owner: options.owner,
    team: options.team,
    consumer: options.consumer,
    custody: options.custody as Custody | undefined,
    kek: options.kek,
    tag: tag === undefined ? undefined : tagOf(tag),
    namePrefix: options.namePrefix,
    origin: options.origin as Origin | undefined,
    exportable: yesOrNo('--exportable', options.exportable),
    suspended: yesOrNo('--suspended', suspended),
    pendingDeletion: yesOrNo('--pending-deletion', pendingDeletion),
    createdFrom: createdFrom && timestamp('--created-from', createdFrom),
    createdBefore: createdBefore && timestamp('--created-before', createdBefore),
  };
  const filter = KeyFilter.safeParse(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)));
  if (filter.success) return filter.data;
  const { path, message } = filter.error.issues[0] as { path: PropertyKey[]; message: string };
  throw new CommandError('usage', `--${kebab(String(path[0]))}: ${message}`);
}

const tagOf = (text: string): KeyFilter['tag'] => {
  const at = text.indexOf('=');
  return at === -1 ? { name: text } : { name: text.slice(0, at), value: text.slice(at + 1) };
};

function yesOrNo(flag: string, given: YesNo | undefined): boolean | undefined {
  if (given === undefined || given === true) return given;
  if (given !== 'yes' && given !== 'no') throw new CommandError('usage', `${flag} wants yes or no`);
  return given === 'yes';
}

const kebab = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
