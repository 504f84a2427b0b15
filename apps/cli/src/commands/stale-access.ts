import type { Command } from 'commander';
import { Finding } from '../exit-codes';
import { online } from '../run';

interface Unused {
  principal: string;
  assignment?: string | undefined;
  since: string;
  noticedAt?: string | undefined;
  removalAt: string;
  kept: boolean;
}

/** Access that nobody uses. */
export function staleAccessCommand(access: Command): void {
  access
    .command('stale')
    .description('who does not come any more, and what nobody uses, with when it is taken away; exit 1 when there is any')
    .action(
      online(async ({ client, output }) => {
        const unused: Unused[] = [];
        let watched = 0;
        let days: { notice?: number | undefined; remove?: number | undefined } = {};
        for (let after: string | undefined; ; ) {
          const page = await client.access.listUnused(after === undefined ? {} : { after });
          unused.push(...(page.unused as Unused[]));
          watched += page.watched;
          days = { notice: page.noticeDays, remove: page.removeAfterDays };
          if (page.next === undefined) break;
          after = page.next;
        }
        output.note(
          days.notice === undefined
            ? 'nothing is taken away: the policies in force have no staleness.json'
            : `of ${watched} principals; told after ${days.notice} days without use, taken away after ${days.remove}`,
        );
        output.table({ ...days, watched, unused }, unused, [
          { title: 'PRINCIPAL', value: ({ principal }) => principal },
          { title: 'WHAT', value: ({ assignment }) => assignment ?? 'does not come any more' },
          { title: 'NOT SINCE', value: ({ since }) => since },
          { title: 'TOLD', value: ({ noticedAt }) => noticedAt ?? '' },
          { title: 'TAKEN AWAY', value: ({ removalAt, kept }) => (kept ? 'stays: too few would be left' : removalAt) },
        ]);
        if (unused.length > 0) throw new Finding();
      }),
    );
}
