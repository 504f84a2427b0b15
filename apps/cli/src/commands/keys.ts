import { type Algorithm, type Classification, type Environment, type KeyUsage, limits, type Origin } from '@claviger/contracts';
import type { Command } from 'commander';
import { CommandError } from '../exit-codes';
import { type KeyFilterOptions, keyFilterOf, withKeyFilter } from '../key-filter-options';
import { gathered, keysMeant } from '../key-pages';
import { lastUseOf } from '../last-uses';
import { pairs, timestamp, wholeNumber } from '../pairs';
import { collect, online } from '../run';
import { aliasCommands, aliasesOf } from './aliases';
import { createManyCommand } from './create-many';
import { deletionCommands } from './deletion';
import { inventoryCommands } from './inventory';
import { governanceCommands } from './key-governance';
import { describeKey, stateOf, tellChange } from './key-summary';
import { keyTransportCommands } from './key-transport';
import { atEndIn, cryptoperiodIn, nextText, type RotationOptions, scheduleIn, withRotationOptions } from './rotation-options';

interface Reason {
  reason: string;
}
const noteNames = ['description', 'team', 'contact'] as const;
type Notes = Partial<Record<(typeof noteNames)[number], string>>;
const notesOf = (options: Notes): Notes =>
  Object.fromEntries(noteNames.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])));

/** Life of keys: create, look, activate, rotate, by itself too, deactivate, suspend, resume, mark as compromised, delete, and who may use them. */
export function keysCommands(program: Command): void {
  const keys = program.command('keys').description('create, describe and govern keys');
  const create = keys
    .command('create <name>')
    .description('generate a key in the HSM')
    .option('--algorithm <algorithm>', 'see `claviger algorithms`', 'AES_256')
    .option('--usage <usage>', 'what it is for, where its algorithm can do more than one thing')
    .option('--environment <environment>', 'development, staging or production', 'development')
    .option('--classification <classification>', 'public, internal, confidential or restricted', 'internal')
    .option('--owner <principal>', 'principal that decides about its use (default: you)')
    .option('--description <text>', 'what it protects')
    .option('--team <name>', 'who answers for it beside its owner')
    .option('--contact <text>', 'whom to reach when something is wrong with it')
    .option('--consumer <principal>', 'principal that may use it; may be repeated', collect)
    .option('--tag <name=value>', 'may be repeated', collect)
    .option('--region <name>', 'it may be used, stored and backed up there; may be repeated (default: anywhere)', collect)
    .option('--origin <origin>', 'external: nothing is generated, its material is imported', 'generated')
    .option('--exportable', 'it may leave, wrapped for a recipient; cannot be changed afterwards')
    .option('--activate-at <time>', 'RFC 3339; until then it neither protects nor processes (default: now)');
  withRotationOptions(create).action(
    online<
      Record<'algorithm' | 'usage' | 'environment' | 'classification' | 'owner' | 'activateAt' | 'origin', string> &
        Notes &
        RotationOptions & {
          exportable?: boolean;
          consumer?: string[];
          tag?: string[];
          region?: string[];
        },
      [string]
    >(async ({ client, options, output }, name) => {
      const { algorithm, usage, environment, classification, owner, consumer = [], tag, region, activateAt } = options;
      const key = await client.keys.create({
        name,
        algorithm: algorithm as Algorithm,
        ...(usage ? { usage: usage as KeyUsage } : {}),
        environment: environment as Environment,
        classification: classification as Classification,
        ...(owner ? { owner } : {}),
        ...notesOf(options),
        consumers: consumer,
        tags: pairs('tag', tag) ?? {},
        ...(region ? { residency: region } : {}),
        ...(options.origin === undefined ? {} : { origin: options.origin as Origin }),
        exportable: options.exportable ?? false,
        ...(activateAt ? { activateAt: timestamp('--activate-at', activateAt) } : {}),
        schedule: scheduleIn(options),
        cryptoperiod: cryptoperiodIn(options),
        atEnd: atEndIn(options),
      });
      describeKey(output, key);
    }),
  );
  keys
    .command('describe <key>')
    .description('metadata, state, versions and aliases of one key')
    .action(
      online<object, [string]>(async ({ client, output }, keyId) => {
        const key = await client.keys.describe({ keyId });
        const [used, aliases] = await Promise.all([lastUseOf(client, key.keyId), aliasesOf(client, key.keyId, limits.aliasesPerKey)]);
        describeKey(
          output,
          key,
          used,
          aliases.map(({ alias }) => alias),
        );
      }),
    );
  withKeyFilter(keys.command('list').description('keys that you may describe; of several flags all must be so'))
    .option('--limit <n>', 'at most this many', '100')
    .action(
      online<KeyFilterOptions & { limit: string }>(async ({ client, options, output }) => {
        const limit = wholeNumber('--limit', options.limit) ?? 100;
        const found = await gathered(keysMeant(client, keyFilterOf(options), Math.min(Math.max(limit, 1), 500)), limit);
        output.table(found, found, [
          { title: 'KEY', value: (key) => key.keyId },
          { title: 'NAME', value: (key) => key.name },
          { title: 'ALGORITHM', value: (key) => key.algorithm },
          { title: 'STATE', value: stateOf },
          { title: 'VERSION', value: (key) => key.primaryVersion },
          { title: 'NEXT', value: (key) => key.next && nextText(key.next) },
          { title: 'OWNER', value: (key) => key.owner },
          { title: 'TEAM', value: (key) => key.team },
          { title: 'CONSUMERS', value: (key) => key.consumers.join(',') },
        ]);
      }),
    );
  aliasCommands(keys);
  createManyCommand(keys);
  inventoryCommands(keys);
  keyTransportCommands(keys);
  governanceCommands(keys);
  deletionCommands(keys);

  const change = (name: string, summary: string) =>
    keys.command(`${name} <key>`).description(summary).requiredOption('--reason <text>', 'goes into the ledger');
  change('rotate', 'make a new version; older ones go on to decrypt and verify').action(
    online<Reason, [string]>(async ({ client, options: { reason }, output }, keyId) =>
      tellChange(output, await client.keys.rotate({ keyId, reason })),
    ),
  );
  change('activate', 'end its pre-activation before its time').action(
    online<Reason, [string]>(async ({ client, options: { reason }, output }, keyId) =>
      tellChange(output, await client.keys.activate({ keyId, reason })),
    ),
  );
  change('deactivate', 'protect nothing more with it; it goes on to decrypt and verify').action(
    online<Reason, [string]>(async ({ client, options: { reason }, output }, keyId) =>
      tellChange(output, await client.keys.deactivate({ keyId, reason })),
    ),
  );
  change('mark-compromised', 'its material may be known to others: for good no use of it, but for re-encrypt; suspend can be undone')
    .option('--key-version <n>', 'only this version; may be repeated', collect)
    .option('--rotate', 'give it a new version where its primary one is among them (default: as its schedule says)')
    .option('--no-rotate', 'leave it without a version that protects')
    .action(
      online<Reason & { keyVersion?: string[]; rotate?: boolean }, [string]>(
        async ({ client, options: { reason, keyVersion, rotate }, output }, keyId) => {
          const versions = keyVersion?.map((text) => wholeNumber('--key-version', text) as number);
          const more = { ...(versions ? { versions } : {}), ...(rotate === undefined ? {} : { rotate }) };
          tellChange(output, await client.keys.markCompromised({ keyId, reason, ...more }));
        },
      ),
    );
  change('suspend', 'freeze it at every worker')
    .option('--allow-processing', 'go on to decrypt and verify')
    .action(
      online<Reason & { allowProcessing?: boolean }, [string]>(
        async ({ client, options: { reason, allowProcessing = false }, output }, keyId) =>
          tellChange(output, await client.keys.suspend({ keyId, reason, allowProcessing })),
      ),
    );
  change('resume', 'end a suspension').action(
    online<Reason, [string]>(async ({ client, options: { reason }, output }, keyId) =>
      tellChange(output, await client.keys.resume({ keyId, reason })),
    ),
  );
  change('schedule-deletion', 'freeze it and destroy its material after the wait')
    .option('--wait-days <n>', '7 to 90', '30')
    .action(
      online<Reason & { waitDays: string }, [string]>(async ({ client, options: { reason, waitDays }, output }, keyId) =>
        tellChange(output, await client.keys.scheduleDeletion({ keyId, reason, waitDays: wholeNumber('--wait-days', waitDays) })),
      ),
    );
  change('cancel-deletion', 'keep it; it comes back suspended').action(
    online<Reason, [string]>(async ({ client, options: { reason }, output }, keyId) =>
      tellChange(output, await client.keys.cancelDeletion({ keyId, reason })),
    ),
  );
  change('set-consumers', 'replace the list of principals that may use it')
    .option('--consumer <principal>', 'may be repeated; none empties the list', collect)
    .action(
      online<Reason & { consumer?: string[] }, [string]>(async ({ client, options: { reason, consumer = [] }, output }, keyId) =>
        tellChange(output, await client.keys.setConsumers({ keyId, reason, consumers: consumer })),
      ),
    );
  keys
    .command('set-owner <key> <principal>')
    .description('hand it over')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<Reason, [string, string]>(async ({ client, options: { reason }, output }, keyId, owner) =>
        tellChange(output, await client.keys.setOwner({ keyId, reason, owner })),
      ),
    );
  withRotationOptions(
    change('set-rotation', 'when it is rotated by itself, how long a version is used, and what happens at the end of that'),
  )
    .option('--none', 'rotate it on demand only')
    .option('--default-periods', 'give back the days of its usage')
    .option('--default-at-end', 'give back what happens at the end')
    .action(
      online<Reason & RotationOptions & { none?: boolean; defaultPeriods?: boolean; defaultAtEnd?: boolean }, [string]>(
        async ({ client, options, output }, keyId) => {
          const { reason, none, defaultPeriods, defaultAtEnd } = options;
          const settings = {
            schedule: alternative('--none', none, scheduleIn(options)),
            cryptoperiod: alternative('--default-periods', defaultPeriods, cryptoperiodIn(options)),
            atEnd: alternative('--default-at-end', defaultAtEnd, atEndIn(options)),
          };
          if (Object.values(settings).every((value) => value === undefined)) throw new CommandError('usage', 'say what is to be set');
          tellChange(output, await client.keys.setRotation({ keyId, reason, ...settings }));
        },
      ),
    );
  change('update', 'change what is said about it')
    .option('--description <text>', 'what it protects')
    .option('--team <name>', 'who answers for it beside its owner')
    .option('--contact <text>', 'whom to reach when something is wrong with it')
    .option('--tag <name=value>', 'may be repeated; replaces all tags', collect)
    .option('--remove <what>', `${noteNames.join(', ')} or tags; may be repeated`, collect)
    .action(
      online<Reason & Notes & { tag?: string[]; remove?: string[] }, [string]>(async ({ client, options, output }, keyId) => {
        const { reason, tag, remove = [] } = options;
        const unknown = remove.find((what) => what !== 'tags' && !(noteNames as readonly string[]).includes(what));
        if (unknown !== undefined) throw new CommandError('usage', `--remove takes ${noteNames.join(', ')} or tags`);
        const removed = Object.fromEntries(remove.filter((what) => what !== 'tags').map((what) => [what, null]));
        const tags = remove.includes('tags') ? {} : pairs('tag', tag);
        tellChange(output, await client.keys.update({ keyId, reason, ...notesOf(options), ...removed, ...(tags ? { tags } : {}) }));
      }),
    );
}

/** Null gives back the default. @throws CommandError */
function alternative<T>(flag: string, taken: boolean | undefined, value: T | undefined): T | null | undefined {
  if (taken && value !== undefined) throw new CommandError('usage', `${flag} and another value for the same exclude each other`);
  return taken ? null : value;
}
