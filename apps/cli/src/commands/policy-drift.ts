import { readFileSync } from 'node:fs';
import type { PolicyBundle } from '@claviger/contracts';
import type { Command } from 'commander';
import { CommandError, Finding } from '../exit-codes';
import { type Drift, driftOf } from '../policy-check/drift';
import { readBundle } from '../policy-check/folder-files';
import { collect, offline } from '../run';
import { withClient } from '../session';
import { readSettings, type Settings } from '../settings';

/** What runs, in one environment or several, against what is committed. */
export function driftCommand(policy: Command): void {
  policy
    .command('drift <folder>')
    .description('compare what runs with a committed folder: policies, principals, roles, groups, grants, profiles; exit 1 when it differs')
    .option(
      '--environment <name=file>',
      'an environment and a file with its settings, CLAVIGER_URL=… a line; may be repeated (default: your settings)',
      collect,
    )
    .option('--running <file>', 'what runs, as `claviger --json policy show` wrote it, without asking a server')
    .action(
      offline<{ environment?: string[]; running?: string }, [string]>(async ({ options, settings, output }, folder) => {
        const committed = readBundle(folder, new Date());
        const found: (Drift & { environment: string })[] = [];
        const compare = (environment: string, running: PolicyBundle) =>
          found.push(...driftOf(running, committed).map((drift) => ({ environment, ...drift })));
        const show = (from: Settings) => withClient(from, async (client) => (await client.policy.show()).bundle);
        if (options.running !== undefined) compare(options.running, readBundle(options.running, new Date()));
        else if (options.environment === undefined) compare('running', await show(settings));
        else
          for (const given of options.environment) {
            const [name, file] = nameAndFile(given);
            compare(name, await show(settingsIn(file)));
          }
        output.table({ drift: found }, found, [
          { title: 'ENVIRONMENT', value: ({ environment }) => environment },
          { title: 'PART', value: ({ part }) => part },
          { title: 'WHICH', value: ({ id }) => id },
          { title: 'HOW', value: ({ how, fields }) => (fields ? `${how}: ${fields.join(', ')}` : how) },
        ]);
        if (found.length > 0) throw new Finding(`${found.length} difference(s) between what runs and ${folder}`);
      }),
    );
}

function nameAndFile(given: string): [string, string] {
  const at = given.indexOf('=');
  if (at < 1) throw new CommandError('usage', '--environment wants NAME=FILE');
  return [given.slice(0, at), given.slice(at + 1)];
}

/** Only what the file says: settings of one environment must not reach another. */
function settingsIn(file: string): Settings {
  try {
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line) => /^\s*(?:export\s+)?(CLAVIGER_[A-Z_]+)=(.*)$/.exec(line)?.slice(1, 3) ?? []);
    const pairs = Array.from(
      { length: lines.length / 2 },
      (_, n) => [lines[2 * n]!, lines[2 * n + 1]!.trim().replace(/^(["'])(.*)\1$/, '$2')] as const,
    );
    return readSettings({}, Object.fromEntries(pairs));
  } catch (error) {
    throw new CommandError('configuration', `${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
}
