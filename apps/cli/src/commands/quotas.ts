import type { Quota } from '@claviger/contracts';
import type { Command } from 'commander';
import { online } from '../run';

/** How often what is allowed may be done, and what is left of it. */
export function quotasCommands(program: Command): void {
  const quotas = program.command('quotas').description('the quotas of the policy bundle in force, and what is left of them now');
  quotas
    .command('list')
    .description('every quota and the highest count of its window of now; grants of limited use and how much they were used')
    .action(
      online(async ({ client, output }) => {
        const shown = await client.policy.listQuotas();
        output.table(shown, shown.quotas, [
          { title: 'QUOTA', value: ({ quota }) => quota.id },
          { title: 'LIMIT', value: ({ quota }) => `${quota.limit} a ${quota.window}` },
          { title: 'PER', value: ({ quota }) => quota.per },
          { title: 'FOR', value: ({ quota }) => whom(quota) },
          { title: 'ACTIONS', value: ({ quota }) => quota.actions.join(', ') },
          { title: 'COUNTED', value: ({ counts }) => counts ?? 'too many to read' },
          { title: 'HIGHEST', value: ({ highest }) => (highest ? `${highest.given}${of(highest)}` : '0') },
        ]);
        for (const { grant, principal, uses, given } of shown.grants)
          output.note(`grant ${grant} of ${principal}: ${given} of ${uses} uses are given out`);
      }),
    );
  quotas
    .command('show <quota>')
    .description('who has used how much of one quota in its window of now, the most first')
    .option('--principal <id>', 'only what this principal is counted for')
    .option('--key <id>', 'only what this key is counted for')
    .action(
      online<{ principal?: string; key?: string }, [string]>(async ({ client, options: { principal, key }, output }, id) => {
        const shown = await client.policy.showQuota({ quota: id, ...(principal ? { principal } : {}), ...(key ? { keyId: key } : {}) });
        const { quota, since, until, counts } = shown;
        output.note(
          `${quota.limit} a ${quota.window} per ${quota.per}, ${whom(quota)}: ${quota.actions.join(', ')}. The window is ${since} to ${until}.`,
        );
        output.table(shown, counts, [
          { title: 'PRINCIPAL', value: (count) => count.principal ?? '(all)' },
          { title: 'KEY', value: (count) => count.keyId ?? '(all)' },
          { title: 'GIVEN OUT', value: (count) => count.given },
          { title: 'LEFT', value: (count) => quota.limit - count.given },
        ]);
      }),
    );
}

const of = ({ principal, keyId }: { principal?: string | undefined; keyId?: string | undefined }): string => {
  const named = [principal, keyId].filter((name) => name !== undefined).join(', ');
  return named ? ` (${named})` : '';
};

function whom({ principal, role, group, key, classification, environment }: Quota): string {
  const said = Object.entries({ principal, role, group, key, classification, environment }).filter(([, value]) => value !== undefined);
  return said.map(([name, value]) => `${name} ${value}`).join(', ') || 'everybody';
}
