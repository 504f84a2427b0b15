import { type Group, groupName, type KeyProfile } from '@claviger/contracts';
import type { Command } from 'commander';
import { wholeNumber } from '../pairs';
import { packText } from '../policy-check/pack-text';
import { checkedFolder } from '../policy-check/valid-folder';
import { writePolicyFolder } from '../policy-folder';
import { online } from '../run';
import { assignmentsCommand } from './assignments';
import { policyCheckCommands } from './policy-check';
import { driftCommand } from './policy-drift';
import { explainCommand } from './policy-explain';
import { guardsCommand } from './policy-guards';
import { packsCommands } from './policy-packs';
import { simulateCommand } from './policy-simulate';

/** The policy bundle: look at it, check a folder, put it in force. */
export function policyCommands(program: Command): void {
  const policy = program.command('policy').description('the policy bundle in force, and folders that may become it');
  packsCommands(policy);
  policy
    .command('show')
    .description('what is in force; all of it with --json')
    .action(
      online(async ({ client, output }) => {
        const shown = await client.policy.show();
        const { bundle, hash, missingActions = [] } = shown;
        output.fields(shown, {
          revision: bundle.revision,
          hash,
          published: bundle.publishedAt,
          roles: bundle.roles.map(({ id }) => id).join(', '),
          principals: bundle.principals.map(({ id, roles, disabled }) => `${id} (${disabled ? 'disabled' : roles.join(', ')})`).join(', '),
          grants: bundle.grants.length,
          groups: bundle.groups?.map(groupText).join('; ') || 'none',
          'roles that exclude each other': bundle.conflicts?.map(({ roles }) => roles.join(' and ')).join('; ') || 'none',
          ...(missingActions.length > 0
            ? { 'not in its schema': `${missingActions.join(', ')}: nobody may do that until a bundle is published whose schema has them` }
            : {}),
          profiles: bundle.profiles?.map(profileText).join('; ') || 'none',
          packs: bundle.packs?.map(packText).join(', ') || 'none',
          tokens: bundle.tokens?.map(({ label, vendor, model }) => `${label} (${vendor} ${model})`).join(', ') || 'none on record',
        });
      }),
    );
  assignmentsCommand(policy);
  policy
    .command('export <folder>')
    .description('write what is in force into an empty folder, to edit it')
    .action(
      online<object, [string]>(async ({ client, output }, folder) => {
        const { bundle } = await client.policy.show();
        writePolicyFolder(folder, bundle);
        output.fields({ folder, revision: bundle.revision }, { folder, revision: bundle.revision });
      }),
    );
  policyCheckCommands(policy);
  simulateCommand(policy);
  driftCommand(policy);
  explainCommand(policy);
  guardsCommand(policy);
  policy
    .command('publish <folder>')
    .description('validate a folder and put it in force everywhere')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .option('--based-on <revision>', 'refuse when another revision is in force (default: the one in force now)')
    .action(
      online<{ reason: string; basedOn?: string }, [string]>(async ({ client, options, output }, folder) => {
        const { revision: _, publishedAt: __, ...bundle } = checkedFolder(output, folder);
        const basedOn = wholeNumber('--based-on', options.basedOn) ?? (await client.policy.show()).bundle.revision;
        const published = await client.policy.publish({ basedOn, bundle, reason: options.reason });
        output.fields(published, { ...published, receipt: undefined });
      }),
    );
}

/** One group in a line: who is listed in it, and what that gives. */
const groupText = (group: Group): string =>
  `${groupName(group)} (${group.members.join(', ') || 'nobody'}${group.roles.length > 0 ? `: ${group.roles.join(', ')}` : ''})`;

/** One profile in a line: which keys it means, and what it asks of them. */
function profileText({ id, description: _, environments, classifications, ...asks }: KeyProfile): string {
  const meant = [classifications?.join('|'), environments?.join('|')].filter((part) => part !== undefined).join(' ') || 'all';
  const wanted = Object.entries(asks).map(([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : value}`);
  return `${id} (${meant} keys): ${wanted.join(', ') || 'nothing'}`;
}
