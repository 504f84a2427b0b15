import { until } from '@claviger/testing';
import { beforeEach, expect, test } from '@jest/globals';
import { type OutboxPage, OutboxRelay } from '../src/index';
import { listeningLogger } from './plain-broker';

/** Documents with outboxes; the store that the services have is proven in their own tests. */
const documents = new Map<string, string[]>();
const source = {
  pending: async (limit: number, after = ''): Promise<OutboxPage<string>> => {
    const found = [...documents].filter(([id, entries]) => id > after && entries.length > 0).sort(([a], [b]) => (a < b ? -1 : 1));
    const page = found.slice(0, limit);
    const items = page.flatMap(([aggregateId, entries]) => entries.map((entry) => ({ aggregateId, entryId: entry, entry })));
    return { items, next: page.length < found.length ? page.at(-1)?.[0] : undefined };
  },
  remove: async (aggregateId: string, ids: string[]) =>
    void documents.set(
      aggregateId,
      (documents.get(aggregateId) ?? []).filter((entry) => !ids.includes(entry)),
    ),
};
let delivered: string[];
let broken: Set<string>;
let logger: ReturnType<typeof listeningLogger>;
let relay: OutboxRelay<string>;

beforeEach(() => {
  documents.clear();
  delivered = [];
  broken = new Set();
  logger = listeningLogger();
  relay = new OutboxRelay<string>(
    source,
    async ({ entry }) => {
      if (broken.has(entry)) throw new Error(`${entry} cannot be delivered`);
      delivered.push(entry);
    },
    logger,
  );
});
const left = () => [...documents.values()].flat();

test('a sweep delivers in order within a document and removes what it delivered', async () => {
  documents.set('a', ['a1', 'a2', 'a3']);
  await relay.sweep();
  expect(delivered).toEqual(['a1', 'a2', 'a3']);
  expect(left()).toEqual([]);
});

test('an entry that cannot be delivered keeps later ones of its document waiting, and no other document', async () => {
  documents.set('a', ['a1', 'a2', 'a3']).set('b', ['b1']);
  broken.add('a2');
  await relay.sweep();
  expect(delivered).toEqual(['a1', 'b1']);
  expect(left()).toEqual(['a2', 'a3']);
  broken.clear();
  await relay.sweep();
  expect(delivered).toEqual(['a1', 'b1', 'a2', 'a3']);
});

test('a sweep gives up early when nothing can be delivered, and the next one goes on', async () => {
  for (let n = 0; n < 50; n++) documents.set(`d${n}`, [`e${n}`]);
  broken = new Set(left());
  await relay.sweep();
  expect(logger.lines).toHaveLength(5);
  broken.clear();
  await relay.sweep();
  expect(delivered).toHaveLength(50);
});

test('what was committed is delivered at once; when that fails it stays for the sweep', async () => {
  documents.set('a', ['a1', 'a2']);
  broken.add('a2');
  const { items } = await source.pending(9);
  await expect(relay.deliverNow(items)).rejects.toThrow('a2');
  expect(left()).toEqual(['a1', 'a2']);
  broken.clear();
  relay.start(5);
  await until(() => left().length === 0, { what: 'the sweep' });
  await relay.stop();
  expect(delivered).toEqual(['a1', 'a1', 'a2']);
});

test('a store that is away ends no sweep for good; it is told once when that begins, and once when it ends', async () => {
  let away = true;
  const pending = (limit: number, after?: string) => (away ? Promise.reject(new Error('no server')) : source.pending(limit, after));
  const told = new OutboxRelay<string>({ ...source, pending }, async () => undefined, logger);
  for (let n = 0; n < 5; n++) await told.sweep();
  expect(logger.lines).toEqual([expect.stringContaining('no server')]);
  away = false;
  for (let n = 0; n < 3; n++) await told.sweep();
  expect(logger.lines).toEqual([expect.stringContaining('no server'), expect.stringContaining('nothing is held up any more')]);
  away = true;
  await told.sweep();
  expect(logger.lines).toHaveLength(3);
});

test('a document whose entries cannot be delivered is told once, and once when they can', async () => {
  documents.set('a', ['a1']);
  broken.add('a1');
  for (let n = 0; n < 5; n++) await relay.sweep();
  expect(logger.lines).toEqual([expect.stringContaining('a1 cannot be delivered')]);
  broken.clear();
  for (let n = 0; n < 3; n++) await relay.sweep();
  expect(logger.lines).toEqual([expect.stringContaining('a1'), expect.stringContaining('outbox of a: nothing is held up')]);
});

test('stopping waits for what is being delivered', async () => {
  let release: () => void = () => undefined;
  const slow = new OutboxRelay<string>(source, () => new Promise((resolve) => (release = resolve)), logger);
  documents.set('a', ['a1']);
  const delivery = slow.deliverNow((await source.pending(1)).items);
  let stopped = false;
  const stopping = slow.stop().then(() => {
    stopped = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(stopped).toBe(false);
  release();
  await Promise.all([delivery, stopping]);
  expect(left()).toEqual([]);
});

const id = (n: number) => String(n).padStart(4, '0');

test('however many documents cannot be delivered, the others are; and of those that cannot it is never said that they can', async () => {
  for (let n = 0; n < 1_200; n++) documents.set(id(n), [`bad ${n}`]);
  broken = new Set(left());
  documents.set(id(5_000), ['good']);
  for (let n = 0; n < 150; n++) await relay.sweep();
  expect(delivered).toEqual(['good']);
  expect(logger.lines.filter((line) => line.includes('nothing is held up'))).toEqual([]);
});

test('on a page that begins with documents that cannot be delivered, the ones behind them soon are', async () => {
  for (let n = 0; n < 12; n++) documents.set(id(n), [`bad ${n}`]);
  broken = new Set(left());
  documents.set(id(100), ['good']);
  for (let n = 0; n < 3; n++) await relay.sweep();
  expect(delivered).toEqual(['good']);
});
