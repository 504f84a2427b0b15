import type { Activity, ReviewItem, ReviewSummary } from '@claviger/contracts';
import type { Command } from 'commander';
import { CommandError, Finding } from '../exit-codes';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { collect, online } from '../run';

type Scope = { role?: string; group?: string; tenant?: string };
type Shown = ReviewItem & { lastUse: Activity; gone: boolean };

const perRequest = 100;
const dayMs = 86_400_000;

/** Campaigns in which people confirm, or take away, what others have. */
export function reviewsCommands(program: Command): void {
  const reviews = program.command('reviews').description('reviews of access: who has what, when it was last used, keep or revoke');
  reviews
    .command('start <name>')
    .description('begin a review of everybody, or of those who hold a role, are in a group, or in the groups of a tenant')
    .option('--role <role>')
    .option('--group <tenant/id>')
    .option('--tenant <tenant>')
    .requiredOption('--reviewer <who>', 'a person, or group:TENANT/ID; may be repeated', collect)
    .option('--days <n>', 'until it is due', '30')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<Scope & { reviewer: string[]; days: string; reason: string }, [string]>(async ({ client, options, output }, name) => {
        const dueAt = new Date(Date.now() + wholeNumber('--days', options.days)! * dayMs).toISOString();
        const { reviewer: reviewers, reason } = options;
        tell(output, await client.access.startReview({ name, scope: scopeOf(options), reviewers, dueAt, reason }));
      }),
    );
  reviews
    .command('list')
    .description('the newest first; exit 1 when one is overdue')
    .option('--state <state>', 'open or completed')
    .action(
      online<{ state?: 'open' | 'completed' }>(async ({ client, options: { state }, output }) => {
        const { reviews: found } = await client.access.listReviews(state ? { state } : {});
        output.table(found, found, [
          { title: 'REVIEW', value: ({ reviewId }) => reviewId },
          { title: 'NAME', value: ({ name }) => name },
          { title: 'OF', value: scopeText },
          { title: 'STATE', value: ({ state: is, overdue }) => (overdue ? 'overdue' : is) },
          { title: 'DUE', value: ({ dueAt }) => dueAt },
          { title: 'KEPT', value: ({ kept }) => kept },
          { title: 'REVOKED', value: ({ revoked }) => revoked },
          { title: 'UNDECIDED', value: ({ undecided }) => undecided },
        ]);
        if (found.some(({ overdue }) => overdue)) throw new Finding();
      }),
    );
  reviews
    .command('show <review>')
    .description('each assignment with when it was last used, and what was decided')
    .option('--undecided', 'only what is to be decided')
    .action(
      online<{ undecided?: boolean }, [string]>(async ({ client, options, output }, reviewId) => {
        const items: Shown[] = [];
        let review: ReviewSummary;
        let since: string;
        for (let from: number | undefined = 0; ; ) {
          const page = await client.access.showReview({ reviewId, from, undecided: options.undecided ?? false });
          items.push(...(page.items as Shown[]));
          ({ review, unusedSince: since } = page);
          output.progress(`${items.length} assignments`);
          if (page.next === undefined) break;
          from = page.next;
        }
        output.progress(undefined);
        output.note(`${review.name}: ${review.undecided} of ${review.items} are not decided; due ${review.dueAt}`);
        output.table({ review, items, unusedSince: since }, items, [
          { title: 'ASSIGNMENT', value: ({ assignment }) => assignment },
          { title: 'PRINCIPAL', value: ({ principal }) => principal },
          { title: 'GIVES', value: ({ roles, action, key }) => (action ? `${action} of ${key}` : roles.join(', ') || 'no role') },
          { title: 'LAST USED', value: ({ lastUse }) => activityText(lastUse, since) },
          {
            title: 'DECIDED',
            value: ({ decision, gone }) => `${decision ? `${decision.decision} by ${decision.by}` : ''}${gone ? ' (gone)' : ''}`,
          },
        ]);
      }),
    );
  reviews
    .command('decide <review>')
    .description('keep or revoke assignments, named as `reviews show` does; a later decision replaces an earlier one')
    .option('--assignment <assignment>', 'may be repeated', collect)
    .option('--all-undecided', 'what nobody decided yet, your own left out')
    .option('--keep')
    .option('--revoke')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<{ assignment?: string[]; allUndecided?: boolean; keep?: boolean; revoke?: boolean; reason: string }, [string]>(
        async ({ client, options: { assignment: named = [], allUndecided, keep, revoke, reason }, output }, reviewId) => {
          if (keep === revoke) throw new CommandError('usage', 'one of --keep and --revoke says what to do');
          if (!allUndecided && named.length === 0) throw new CommandError('usage', '--assignment or --all-undecided says what is decided');
          const assignments = allUndecided ? await undecided(reviewId) : named;
          const decision = keep ? ('keep' as const) : ('revoke' as const);
          let review: ReviewSummary | undefined;
          for (let at = 0; at < assignments.length; at += perRequest) {
            const some = assignments.slice(at, at + perRequest);
            review = await client.access.decideReview({
              reviewId,
              decisions: some.map((assignment) => ({ assignment, decision, reason })),
            });
            output.progress(`${at + some.length} of ${assignments.length} decided`);
          }
          output.progress(undefined);
          if (review) tell(output, review);
          else output.note('there is nothing to decide');

          async function undecided(of: string): Promise<string[]> {
            const found: string[] = [];
            for (let from: number | undefined = 0; from !== undefined; ) {
              const page: { items: { assignment: string; principal: string }[]; next?: number | undefined } =
                await client.access.showReview({
                  ...{ reviewId: of, from, undecided: true, lastUse: false },
                });
              found.push(...page.items.filter(({ principal }) => principal !== client.principal).map(({ assignment }) => assignment));
              from = page.next;
            }
            return found;
          }
        },
      ),
    );
  reviews
    .command('complete <review>')
    .description('take away what was revoked, in one publication of the policies')
    .option('--undecided <what>', 'keep or revoke what nobody decided (default: refuse while there is any)', 'refuse')
    .requiredOption('--reason <text>', 'goes into the ledger')
    .action(
      online<{ undecided: 'refuse' | 'keep' | 'revoke'; reason: string }, [string]>(async ({ client, options, output }, reviewId) =>
        tell(output, await client.access.completeReview({ reviewId, undecided: options.undecided, reason: options.reason })),
      ),
    );
}

function scopeOf({ role, group, tenant }: Scope) {
  const scopes = [...(role ? [{ role }] : []), ...(group ? [{ group }] : []), ...(tenant ? [{ tenant }] : [])];
  if (scopes.length > 1) throw new CommandError('usage', 'only one of --role, --group and --tenant');
  return scopes[0] ?? ({ all: true } as const);
}

const scopeText = ({ scope }: ReviewSummary): string =>
  'all' in scope
    ? 'everybody'
    : Object.entries(scope)
        .map(([what, value]) => `${what} ${value}`)
        .join('');

function activityText({ known, at, index }: Activity, since: string): string {
  if (known === 'used') return `${at} (leaf ${index})`;
  return known === 'unused' ? `not since ${since.slice(0, 10)}` : 'not known';
}

function tell(output: Output, review: ReviewSummary & { receipt?: unknown }): void {
  const { receipt: _, ...shown } = review;
  output.fields(shown, {
    review: review.reviewId,
    name: review.name,
    of: scopeText(review),
    reviewers: review.reviewers.join(', '),
    state: review.overdue ? 'overdue' : review.state,
    due: review.dueAt,
    assignments: review.items,
    kept: review.kept,
    revoked: review.revoked,
    undecided: review.undecided,
    ...(review.completed ? { 'taken away': review.completed.taken, 'policies revision': review.completed.revision } : {}),
  });
}
