import { assuredTokens, issueText, unownedServices, validateBundle } from '@claviger/authz';
import { type Group, groupName, type KeyProfile, PolicyBundle } from '@claviger/contracts';
import type { Command } from 'commander';
import { Finding } from '../exit-codes';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { readPolicyFolder, writePolicyFolder } from '../policy-folder';
import { offline, online } from '../run';

/** The policy bundle: look at it, check a folder, put it in force. */
export function policyCommands(program: Command): void {
  const policy = program.command('policy').description('the policy bundle in force, and folders that may become it');
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
          ...(missingActions.length > 0
            ? { 'not in its schema': `${missingActions.join(', ')}: nobody may do that until a bundle is published whose schema has them` }
            : {}),
          profiles: bundle.profiles?.map(profileText).join('; ') || 'none',
          tokens: bundle.tokens?.map(({ label, vendor, model }) => `${label} (${vendor} ${model})`).join(', ') || 'none on record',
        });
      }),
    );
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
  policy
    .command('check <folder>')
    .description('validate a folder without publishing it; exit 1 when it does not validate')
    .action(
      offline<object, [string]>(({ output }, folder) => {
        const bundle = checked(output, folder);
        const counts = {
          ...{ principals: bundle.principals.length, roles: bundle.roles.length, grants: bundle.grants.length },
          groups: bundle.groups?.length ?? 0,
          profiles: bundle.profiles?.length ?? 0,
          tokens: bundle.tokens?.length ?? 0,
        };
        output.fields({ valid: true, ...counts }, { valid: 'yes', ...counts });
      }),
    );
  policy
    .command('publish <folder>')
    .description('validate a folder and put it in force everywhere')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .option('--based-on <revision>', 'refuse when another revision is in force (default: the one in force now)')
    .action(
      online<{ reason: string; basedOn?: string }, [string]>(async ({ client, options, output }, folder) => {
        const { revision: _, publishedAt: __, ...bundle } = checked(output, folder);
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

/** Profiles whose keys could be made nowhere today. It may be meant: a validation that is on its way. */
const unmetLevels = ({ profiles = [], tokens = [] }: PolicyBundle): string[] =>
  profiles.flatMap(({ id, moduleLevel }) =>
    moduleLevel === undefined || assuredTokens(tokens, { moduleLevel: { value: moduleLevel, profile: id } }, Date.now())?.length
      ? []
      : [`profile ${id}: no token on record has an active validation of level ${moduleLevel}, so its keys cannot be made (ERR_ASSURANCE)`],
  );

/** Those that are new are refused when the folder is published; those of before are not. */
const withoutOwner = (bundle: PolicyBundle): string[] =>
  unownedServices(bundle).map(({ principal: { id, owner } }) =>
    owner === undefined ? `service ${id}: names no owner` : `service ${id}: its owner ${owner} is no enabled person and no group`,
  );

/** @throws Finding after the issues were printed */
function checked(output: Output, folder: string): PolicyBundle {
  const bundle = readPolicyFolder(folder, new Date());
  const issues = validateBundle(bundle);
  if (issues.length === 0) {
    const good = PolicyBundle.parse(bundle);
    for (const note of [...unmetLevels(good), ...withoutOwner(good)]) output.note(note);
    return good;
  }
  output.table({ valid: false, issues }, issues, [{ title: `${folder} DOES NOT VALIDATE`, value: issueText }]);
  throw new Finding(`${issues.length} issue(s)`);
}
