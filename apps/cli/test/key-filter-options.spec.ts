import { KeyFilter } from '@claviger/contracts';
import { expect, test } from '@jest/globals';
import { Command } from 'commander';
import { type KeyFilterOptions, keyFilterOf, withKeyFilter } from '../src/key-filter-options';
import { gathered, keysMeant } from '../src/key-pages';
import { described } from './keys-described';

const filterOf = (...args: string[]) =>
  keyFilterOf(withKeyFilter(new Command()).exitOverride().parse(args, { from: 'user' }).opts<KeyFilterOptions>());

test('every thing that a key can be asked by has a flag', () => {
  const flags = withKeyFilter(new Command()).options.map((option) => option.attributeName());
  expect(flags.sort()).toEqual(Object.keys(KeyFilter.shape).sort());
});

test('flags become the filter of the contract', () => {
  expect(filterOf()).toEqual({});
  expect(filterOf('--state', 'active', '--tag', 'pci', '--suspended')).toEqual({ state: 'active', tag: { name: 'pci' }, suspended: true });
  expect(filterOf('--tag', 'a=b=c', '--suspended', 'no', '--pending-deletion', 'yes')).toEqual({
    ...{ tag: { name: 'a', value: 'b=c' }, suspended: false, pendingDeletion: true },
  });
  expect(filterOf('--created-from', '2026-01-31T09:00:00+01:00')).toEqual({ createdFrom: '2026-01-31T08:00:00.000Z' });
});

test.each([
  [['--state', 'alive'], '--state: '],
  [['--name-prefix', 'A'], '--name-prefix: '],
  [['--suspended', 'maybe'], '--suspended wants yes or no'],
  [['--created-before', 'yesterday'], '--created-before wants a time'],
  [['--tag', '=x'], '--tag: '],
])('%s is told before anything is asked', (args, message) => {
  expect(() => filterOf(...args)).toThrow(message);
});

test('pages are asked for one after another, and no more than are used', async () => {
  const asked: unknown[] = [];
  const all = Array.from({ length: 5 }, () => described());
  const client = {
    keys: {
      list: async (input: { after?: string; limit: number; filter: KeyFilter }) => {
        asked.push(input);
        const from = all.findIndex(({ keyId }) => keyId === input.after) + 1;
        const keys = all.slice(from, from + input.limit);
        return { keys, ...(from + input.limit < all.length ? { next: keys.at(-1)?.keyId } : {}) };
      },
    },
  } as unknown as Parameters<typeof keysMeant>[0];
  expect(await gathered(keysMeant(client, { owner: 'kim' }, 2), 3)).toEqual(all.slice(0, 3));
  expect(asked).toHaveLength(2);
  expect(await gathered(keysMeant(client, {}, 2))).toEqual(all);
  expect(asked.slice(0, 2)).toEqual([
    { filter: { owner: 'kim' }, limit: 2 },
    { filter: { owner: 'kim' }, limit: 2, after: all[1]?.keyId },
  ]);
});
