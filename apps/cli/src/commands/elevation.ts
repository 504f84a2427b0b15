import type { Action, BreakGlassReview, ChangeState, Grant, GrantContext } from '@claviger/contracts';
import type { Command } from 'commander';
import { pairs, wholeNumber } from '../pairs';
import { collect, online } from '../run';

type Wanted = {
  role?: string;
  action?: Action;
  key?: string;
  minutes: string;
  uses?: string;
  contextEquals?: string[];
  contextIncludes?: string[];
  reason: string;
};

/** A role, or the use of a key, for a time: asked for, approved by others, ended by itself. */
export function elevationCommands(access: Command): void {
  access
    .command('request')
    .description('ask for a role, or for one action on one key, for a time; others approve it')
    .option('--role <role>')
    .option('--action <action>', 'such as crypto:Decrypt, with --key')
    .option('--key <id>')
    .requiredOption('--minutes <n>', 'from the moment in which you have it executed')
    .option('--uses <n>', 'so many operations at most')
    .option('--context-equals <name=value>', 'of a key: for exactly this encryption context; repeat it for several entries', collect)
    .option('--context-includes <name=value>', 'of a key: for encryption contexts with this entry; repeat it for several', collect)
    .requiredOption('--reason <text>', 'for those who approve it; goes into the ledger')
    .hook('preAction', (_, command) => requestsApproval(command))
    .action(
      online<Wanted>(async ({ client, options, output }) => {
        const { role, action, key, uses, reason } = options;
        const { grant, revision } = await client.access.request({
          ...(role === undefined ? {} : { role }),
          ...(action === undefined ? {} : { action }),
          ...(key === undefined ? {} : { key }),
          ...contextOf(options),
          ...(uses === undefined ? {} : { uses: wholeNumber('--uses', uses) as number }),
          ...{ minutes: wholeNumber('--minutes', options.minutes) as number, reason },
        });
        output.fields({ grant, revision }, { grant: grant.id, for: grantText(grant), until: grant.notAfter, revision });
      }),
    );
  access
    .command('break-glass')
    .description('in an emergency: a role for minutes, with the approval of somebody else; alerts, and has to be reviewed')
    .requiredOption('--role <role>')
    .requiredOption('--minutes <n>', 'from the moment in which you have it executed')
    .requiredOption('--reason <text>', 'for those who approve and review it; goes into the ledger')
    .hook('preAction', (_, command) => requestsApproval(command))
    .action(
      online<{ role: string; minutes: string; reason: string }>(async ({ client, options: { role, minutes, reason }, output }) => {
        const { grant, revision } = await client.access.breakGlass({ role, minutes: wholeNumber('--minutes', minutes) as number, reason });
        output.fields({ grant, revision }, { grant: grant.id, for: grantText(grant), until: grant.notAfter, revision });
      }),
    );
  access
    .command('requests')
    .description('requests for access, newest first: those that you made or may approve, or all if you may read them')
    .option('--state <state>', 'requested, approved, executing, executed, failed, rejected, withdrawn or expired')
    .option('--before <time>', 'RFC 3339: older ones')
    .action(
      online<{ state?: ChangeState; before?: string }>(async ({ client, options: { state, before }, output }) => {
        const { requests, next } = await client.access.requests({ ...(state ? { state } : {}), ...(before ? { before } : {}) });
        output.table(requests, requests, [
          { title: 'CHANGE', value: (one) => one.change },
          { title: 'STATE', value: (one) => one.state },
          { title: 'REQUESTER', value: (one) => one.requester },
          { title: 'FOR', value: (one) => `${one.by === 'break-glass' ? 'break-glass: ' : ''}${wantedText(one)}` },
          { title: 'MINUTES', value: (one) => one.minutes },
          { title: 'APPROVED', value: (one) => `${one.approvedBy.length} of ${one.quorum} (${one.approvers.join(' or ')})` },
          { title: 'REASON', value: (one) => one.reason },
        ]);
        if (requests.some((one) => one.state === 'requested')) output.note('approve one: claviger changes approve CHANGE');
        if (next) output.note(`older ones: --before ${next}`);
      }),
    );
  access
    .command('grants')
    .description('grants that are not over: yours, or everybody’s if you may read them')
    .option('--of <principal>')
    .action(
      online<{ of?: string }>(async ({ client, options, output }) => {
        const grants: Grant[] = [];
        let after: string | undefined;
        do {
          const page = await client.access.listGrants({ ...(options.of ? { principal: options.of } : {}), ...(after ? { after } : {}) });
          grants.push(...page.grants);
          after = page.next;
        } while (after !== undefined);
        output.table(grants, grants, [
          { title: 'GRANT', value: (grant) => grant.id },
          { title: 'PRINCIPAL', value: (grant) => grant.principal },
          { title: 'FOR', value: grantText },
          { title: 'FROM', value: (grant) => grant.notBefore ?? 'always' },
          { title: 'UNTIL', value: (grant) => grant.notAfter ?? 'for ever' },
          {
            title: 'BY',
            value: ({ elevated }) => (elevated ? `${elevated.by}, approved by ${elevated.approvedBy.join(', ')}` : 'publication'),
          },
          { title: 'REASON', value: ({ elevated }) => elevated?.reason ?? '' },
        ]);
      }),
    );
  access
    .command('revoke-grant <grant>')
    .description('end a grant before its time; your own you may always')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<{ reason: string }, [string]>(async ({ client, options: { reason }, output }, grant) => {
        const ended = await client.access.revokeGrant({ grant, reason });
        output.fields(ended, { grant, ended: ended.changed ? 'yes' : 'it was over already', revision: ended.revision });
      }),
    );
  access
    .command('break-glass-reviews')
    .description('break-glass that has not been reviewed')
    .action(
      online(async ({ client, output }) => {
        const { reviews } = await client.access.breakGlassReviews();
        output.table(reviews, reviews, [
          { title: 'REVIEW', value: (review) => review.id },
          { title: 'PRINCIPAL', value: (review) => review.principal },
          { title: 'ROLE', value: (review) => review.role },
          { title: 'FROM', value: (review) => review.from },
          { title: 'UNTIL', value: (review) => review.until },
          { title: 'INVOLVED', value: (review) => review.involved.join(', ') },
          { title: 'CLOSED BY', value: closings },
          { title: 'REASON', value: (review) => review.reason },
        ]);
        if (reviews.length > 0)
          output.note('what was done: claviger audit query --principal PRINCIPAL; then: claviger access close-review REVIEW --reason …');
      }),
    );
  access
    .command('close-review <review>')
    .description('say that you looked into a break-glass that you had nothing to do with; two people close it')
    .requiredOption('--reason <text>', 'what you found; goes into the ledger')
    .action(
      online<{ reason: string }, [string]>(async ({ client, options: { reason }, output }, review) => {
        const result = await client.access.closeReview({ review, reason });
        output.fields(result, { review, closed: result.closed ? 'yes' : 'not yet', by: result.closedBy.join(', ') });
        if (!result.closed) output.note(`${result.missing} more: claviger access close-review ${review} --reason …`);
      }),
    );
}

/** What is asked for always needs approval: the reason is that of the change request. */
function requestsApproval(command: Command): void {
  if (command.optsWithGlobals().change === undefined) command.setOptionValue('requestApproval', command.opts().reason);
}

/** @throws CommandError */
function contextOf({ contextEquals, contextIncludes }: Wanted): { context?: GrantContext } {
  const equals = contextEquals && pairs('context-equals', contextEquals);
  const includes = contextIncludes && pairs('context-includes', contextIncludes);
  return equals || includes ? { context: { ...(equals ? { equals } : {}), ...(includes ? { includes } : {}) } } : {};
}

const wantedText = ({ role, action, key }: { role?: string; action?: string; key?: string }): string => role ?? `${action} of ${key}`;

/** What a grant gives, in a line. */
export function grantText(grant: Grant): string {
  if ('role' in grant) return grant.role;
  const entries = (some: Record<string, string>) =>
    Object.entries(some)
      .map(([name, value]) => `${name}=${value}`)
      .join(', ') || 'no entry';
  const { equals, includes } = grant.context ?? {};
  return `${wantedText(grant)}${equals ? ` for the context ${entries(equals)}` : ''}${includes ? ` for contexts with ${entries(includes)}` : ''}`;
}

const closings = ({ closings: made }: BreakGlassReview): string => made.map(({ by, reason }) => `${by} (${reason})`).join(', ') || 'nobody';
