import type { Classification } from '@claviger/contracts';
import type { Command } from 'commander';
import { online } from '../run';
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
}
