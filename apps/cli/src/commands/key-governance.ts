import type { Classification } from '@claviger/contracts';
import type { Command } from 'commander';
import { CommandError } from '../exit-codes';
import { collect, online } from '../run';
import { tellChange } from './key-summary';

/** What is decided about a key for what it protects. */
export function governanceCommands(keys: Command): void {
  keys
    .command('set-classification <key> <classification>')
    .description('public, internal, confidential or restricted: raised, it is rotated at once; lowering it is for security officers')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<{ reason: string }, [string, string]>(async ({ client, options: { reason }, output }, keyId, classification) =>
        tellChange(output, await client.keys.setClassification({ keyId, reason, classification: classification as Classification })),
      ),
    );
  keys
    .command('certify <key>')
    .description('as its owner: its classification, its consumers and that it is needed are as they are written')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<{ reason: string }, [string]>(async ({ client, options: { reason }, output }, keyId) =>
        tellChange(output, await client.keys.certify({ keyId, reason })),
      ),
    );
  keys
    .command('set-residency <key>')
    .description('the regions that it may be used, stored and backed up in; a region more is for security officers')
    .option('--region <name>', 'may be repeated', collect)
    .option('--anywhere', 'in all of them')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<{ reason: string; region?: string[]; anywhere?: boolean }, [string]>(async ({ client, options, output }, keyId) => {
        const { reason, region, anywhere } = options;
        if ((region === undefined) === !anywhere) throw new CommandError('usage', 'give --region, or --anywhere');
        tellChange(output, await client.keys.setResidency({ keyId, reason, residency: region ?? null }));
      }),
    );
}
