import type { Client } from '@claviger/client';
import { type AliasChange, type AliasDescription, isAlias, limits } from '@claviger/contracts';
import type { Command } from 'commander';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { online } from '../run';

interface Reason {
  reason: string;
}

/** Names of keys, which every command that wants a key takes in place of its id. */
export function aliasCommands(keys: Command): void {
  const aliases = keys.command('alias').description('names that point to keys: every command that wants a <key> takes one, too');
  aliases
    .command('set <alias> <key>')
    .description('make an alias, such as alias/payments/cards, or point it to another key')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<Reason, [string, string]>(async ({ client, options: { reason }, output }, alias, keyId) =>
        tellAlias(output, await client.keys.setAlias({ alias, keyId, reason })),
      ),
    );
  aliases
    .command('delete <alias>')
    .description('it names no key any more; the key stays as it is')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<Reason, [string]>(async ({ client, options: { reason }, output }, alias) =>
        tellAlias(output, await client.keys.deleteAlias({ alias, reason })),
      ),
    );
  aliases
    .command('list')
    .description('aliases of keys that you may describe')
    .option('--key <key>', 'only those of this key')
    .option('--limit <n>', 'at most this many', '1000')
    .action(
      online<{ key?: string; limit: string }>(async ({ client, options: { key, limit }, output }) => {
        const found = await aliasesOf(client, key, wholeNumber('--limit', limit) ?? 1_000);
        output.table(found, found, [
          { title: 'ALIAS', value: ({ alias }) => alias },
          { title: 'KEY', value: ({ keyId }) => keyId },
          { title: 'REVISION', value: ({ revision }) => revision },
        ]);
      }),
    );
}

/** Of one key, or of all that the caller may describe. */
export async function aliasesOf(client: Pick<Client, 'keys'>, keyId: string | undefined, limit: number): Promise<AliasDescription[]> {
  const found: AliasDescription[] = [];
  let after: string | undefined;
  do {
    const page = await client.keys.listAliases({
      limit: Math.min(Math.max(limit, 1), limits.listPage),
      ...(keyId === undefined ? {} : { keyId }),
      ...(after === undefined ? {} : { after }),
    });
    found.push(...page.aliases);
    after = page.next;
  } while (after !== undefined && found.length < limit);
  return found.slice(0, limit);
}

/** For what asks a service that knows no aliases, or keeps what it was asked. */
export const keyIdOf = async (client: Pick<Client, 'keys'>, ref: string): Promise<string> =>
  isAlias(ref) ? (await client.keys.describe({ keyId: ref })).keyId : ref;

function tellAlias(output: Output, outcome: AliasChange): void {
  const { alias, keyId, previousKeyId, revision, confirmed, workers, fenced } = outcome;
  const reached = confirmed
    ? `confirmed by ${workers.length} worker(s)${fenced.length > 0 ? `, ${fenced.length} fenced` : ''}`
    : 'durable, but not yet proven at every worker: repeat the command or look at `claviger status`';
  output.fields(outcome, { alias, key: keyId ?? 'none', before: previousKeyId, revision, reached });
}
