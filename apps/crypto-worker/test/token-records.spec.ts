import { until } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import { type TokenEvent, TokenRecords } from '../src/token-records';

const since = '2026-11-24T08:00:00.000Z';
const event = (kind: TokenEvent['event']): TokenEvent => ({ event: kind, token: 'customer', since, detail: 'd' });

test('what cannot be recorded while the token fails is recorded before what follows it, under the id that it had', async () => {
  const tried: { id: string; event: unknown }[] = [];
  let durable = false;
  const trail = {
    append: async (entry: Record<string, unknown>, id?: string) => {
      tried.push({ id: id as string, event: entry.event });
      if (!durable) throw new Error('the token signs nothing');
      return {} as never;
    },
  };
  const warnings: string[] = [];
  const records = new TokenRecords(trail, { warn: (line: string) => warnings.push(line) }, 'w-1');
  records.add(event('failing'));
  await until(() => warnings.length === 1, { what: 'a warning' });
  durable = true;
  records.add(event('well'));
  await until(() => tried.length === 3, { what: 'both records' });
  expect(tried.map(({ event: kind }) => kind)).toEqual(['failing', 'failing', 'well']);
  expect(tried[0]?.id).toBe(tried[1]?.id);
  expect(warnings[0]).toContain('not in the ledger yet');
});
