import type { TokenDescription } from '@claviger/contracts';
import type { Command } from 'commander';
import { CommandError, Finding } from '../exit-codes';
import { online } from '../run';
import { tokenEndingCommands } from './token-ending';

/** The tokens that keys are in: what is on record of them, and what they say of themselves. */
export function tokensCommands(program: Command): void {
  const tokens = program.command('tokens').description('the tokens that keys are in, whether their validation counts, and their end');
  tokens
    .command('list')
    .description(
      'all that are on record or that workers have; exit 1 when one of them is not what its record says, or its validation has ended',
    )
    .action(
      online<object>(async ({ client, output }) => {
        const listed = await client.keys.listTokens({});
        output.table(listed, listed.tokens, [
          { title: 'TOKEN', value: ({ label }) => label },
          { title: 'HOLDS', value: ({ root }) => (root ? 'the roots' : '') },
          { title: 'REGIONS', value: ({ regions }) => regions.join(' ') },
          { title: 'MODEL', value: ({ record, reported }) => record?.model ?? reported?.model },
          { title: 'FIRMWARE', value: ({ record, reported }) => record?.firmware ?? reported?.firmware },
          { title: 'VALIDATION', value: ({ validation }) => validation.state },
          { title: 'LEVEL', value: ({ validation }) => validation.level },
          { title: 'DAYS LEFT', value: ({ validation }) => validation.daysLeft },
        ]);
        if (listed.seenAt === undefined) output.note('no worker says which tokens it has: only what is on record is shown');
        const wrong = listed.tokens.flatMap(troubles);
        for (const trouble of wrong) output.note(trouble);
        if (wrong.length > 0) throw new Finding(`${wrong.length} finding(s)`);
      }),
    );
  tokens
    .command('describe <label>')
    .description('all that is known of one, with the number of keys in it')
    .action(
      online<object, [string]>(async ({ client, output }, label) => {
        const { tokens: all } = await client.keys.listTokens({ count: true });
        const token = all.find((one) => one.label === label);
        if (!token)
          throw new CommandError(
            'badInput',
            `no token ${label} is on record, and no worker has one`,
            'claviger tokens list names those that are.',
          );
        output.fields(token, fieldsOf(token));
      }),
    );
  tokenEndingCommands(tokens);
}

function fieldsOf({ label, record, validation, root, regions, reported, mismatches, workers, away, keys }: TokenDescription) {
  const said = record?.validation;
  return {
    token: label,
    ...(root ? { holds: 'the roots: every wrapped key is used in it' } : {}),
    regions: regions.join(', ') || 'nobody said',
    keys,
    validation: `${validation.state}: ${validation.why}`,
    'days left': validation.daysLeft,
    ...(said && said.standard !== 'none'
      ? {
          certificate: `${said.standard} ${said.certificate}${said.standard === 'Common Criteria' ? ` (${said.evaluation})` : ''}`,
          level: said.level,
          'firmware covered': said.firmware.join(', '),
        }
      : {}),
    vendor: record?.vendor,
    model: record?.model,
    firmware: record?.firmware,
    'serial number': record?.serialNumber,
    'vendor contact': record?.contact,
    ...(record ? { 'in an incident': `within ${record.incidents.notifyWithinHours} hours: ${record.incidents.terms}` } : {}),
    ...(reported
      ? {
          'says itself': `${reported.manufacturer} ${reported.model}, firmware ${reported.firmware}, serial number ${reported.serialNumber} (${reported.family})`,
        }
      : {}),
    ...(mismatches.length > 0 ? { 'NOT AS ON RECORD': mismatchText(mismatches) } : {}),
    workers: workers.join(', ') || 'none that answered lately',
    ...(away.length > 0 ? { 'away for': away.join(', ') } : {}),
  };
}

/** What somebody should do something about. That nobody ever validated it, or that nothing is on record, is for profiles to ask. */
function troubles({ label, validation: { state, why }, mismatches }: TokenDescription): string[] {
  const ended = state !== 'active' && state !== 'none' && state !== 'unknown';
  return [
    ...(ended ? [`${label}: ${why}`] : []),
    ...(mismatches.length > 0 ? [`${label} is not as on record: ${mismatchText(mismatches)}`] : []),
  ];
}

const mismatchText = (mismatches: TokenDescription['mismatches']): string =>
  mismatches.map(({ what, recorded, reported }) => `${what} ${recorded}, and it says ${reported}`).join('; ');
