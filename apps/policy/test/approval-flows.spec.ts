import { parseBatch } from '@claviger/ledger';
import { until } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import fc from 'fast-check';
import type { Change } from '../src/change';
import {
  type Facet,
  type Guard,
  groupAsked,
  isApproved,
  isReachable,
  type KeyNumber,
  type Model,
  mayApprove,
  newModel,
  notExecuted,
  notWaiting,
  type Person,
  people,
} from './approval-model';
import { type Input, startWorld, type World } from './approval-world';

/** `CLAVIGER_APPROVAL_RUNS=500` for a long look; `npm test` takes a short one, each time at other flows. */
const runs = Number(process.env.CLAVIGER_APPROVAL_RUNS ?? 10);
const quarterHourMs = 15 * 60_000;

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.stop());

/** What a run has in hand beside the model: the change requests as they are, in the order of the model's. */
interface Real {
  readonly world: World;
  readonly changes: Change[];
  readonly sessions: readonly [string, string];
}
type Command = fc.AsyncCommand<Model, Real>;
const command = (name: string, run: (model: Model, real: Real) => Promise<void>, needsChange = true): Command => ({
  check: ({ changes }) => !needsChange || changes.length > 0,
  run,
  toString: () => name,
});
/** Which change request, counted from the newest: what was begun is mostly gone on with. */
const which = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(5) });
const at = <T>(list: readonly T[], n: number): T => list[list.length - 1 - (n % list.length)] as T;
const inputOf = ({ input }: Change): Input => input as unknown as Input;
const publish = (model: Model) => world.publish(model.standings, model.guard);
const by = (sessions: readonly string[], n: number) => ({ principal: world.requester(), session: at(sessions, n) });

const guard: fc.Arbitrary<Guard> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ quorum: fc.integer({ min: 1, max: 3 }), approvers: approvers() }) },
  { weight: 1, arbitrary: fc.constantFrom('none' as const, 'denied' as const) },
);
function approvers() {
  return fc.constantFrom(['security-officer'], [groupAsked], ['security-officer', groupAsked]);
}

/** A demand is refused when it is too old, of another command, or somebody else's. */
const requests = fc
  .tuple(
    ...([fc.constantFrom('exact', 'exact', 'exact', 'stale', 'altered', "another's"), fc.integer({ min: 60, max: 62 })] as const),
    ...([fc.integer({ min: 1, max: 72 }), fc.nat(1)] as const),
  )
  .map(([how, lifetimeSeconds, hours, n]) =>
    command(
      `request ${how} ${lifetimeSeconds} for ${hours} h`,
      async (model, real) => {
        const input = { principal: 'payments-api', lifetimeSeconds };
        const { code, demand } = await world.execute(n, by(real.sessions, n), input);
        const { guard } = model;
        const expected = guard === 'none' ? 'done' : guard === 'denied' ? 'ERR_ACCESS_DENIED' : 'ERR_APPROVAL_REQUIRED';
        expect(code).toBe(expected);
        if (typeof guard === 'string' || !demand) return expect(demand).toBeUndefined();
        if (how === 'stale') world.clock.advance(quarterHourMs + 1);
        const asked = how === 'altered' ? { ...input, lifetimeSeconds: 900 } : input;
        const reply = await world.request(how === "another's" ? 'simon' : world.requester(), asked, demand, hours);
        const may = how !== 'exact' ? 'ERR_CHANGE_MISMATCH' : isReachable(model, guard) ? 'done' : 'ERR_CHANGE_STATE';
        expect([how, reply.code]).toEqual([how, may]);
        if (!reply.change) return;
        model.changes.push({ rule: guard, expiresMs: world.clock.now() + hours * 3_600_000, approvals: new Set() });
        real.changes.push(reply.change);
      },
      false,
    ),
  );

const wrongs = [
  'of another change',
  'of an altered command',
  'of a lower quorum',
  'of a later expiry',
  'with another key',
  'unverified',
] as const;
type How = 'exact' | (typeof wrongs)[number];
/** What it is made of instead of the change itself; undefined where it is made of exactly that. */
function insteadOf(how: How, change: Change, { changes }: Real, n: number): Partial<Change> | undefined {
  const other = at(changes, n + 1);
  if (how === 'of another change') return other.change === change.change ? { change: `${change.change.slice(0, -1)}_` } : other;
  if (how === 'of an altered command') return { input: { ...change.input, lifetimeSeconds: 900 } };
  if (how === 'of a lower quorum') return { quorum: change.quorum - 1 };
  return how === 'of a later expiry' ? { expiresAt: new Date(Date.parse(change.expiresAt) + 1).toISOString() } : undefined;
}
const otherKey = (key: KeyNumber): KeyNumber => (key === 0 ? 1 : 0);

async function approve(model: Model, real: Real, n: number, who: Person, how: How): Promise<void> {
  const [change, known] = [at(real.changes, n), at(model.changes, n)];
  const { key } = model.standings[who];
  const [instead, isOther] = [insteadOf(how, change, real, n), how === 'with another key'];
  // A key of their own says nothing of a second factor: those are asked for it by their session.
  const isWrong = key === undefined || isOther || instead !== undefined || (how === 'unverified' && who === 'sofia');
  const used = isOther ? otherKey(key ?? 0) : (key ?? 0);
  const expected =
    notWaiting(known, world.clock.now()) ??
    (!mayApprove(model, who, known.rule) ? 'ERR_APPROVER' : isWrong ? 'ERR_APPROVAL_INVALID' : 'done');
  // Before it is awaited: others may approve at the same time.
  if (expected === 'done') known.approvals.add(`${who} ${used}`);
  const altered = { ...instead, change: how === 'of another change' ? (instead?.change ?? change.change) : change.change };
  const { code } = await world.approve(change, who, used, altered, how !== 'unverified');
  expect([who, how, code]).toEqual([who, how, expected]);
}
const approvals = fc
  .tuple(which, fc.constantFrom(...people), fc.constantFrom<How[]>('exact', 'exact', 'exact', ...wrongs))
  .map(([n, who, how]) => command(`${who} approves ${n} ${how}`, (model, real) => approve(model, real, n, who, how)));
const several: fc.Arbitrary<Person[]> = fc.oneof(
  fc.shuffledSubarray([...people], { minLength: 2 }),
  fc.constantFrom<Person[]>(
    ['sofia', 'sofie'],
    ['sofie', 'sofia'],
    ['sofia', 'simon'],
    ['sven', 'ida'],
    ['sven', 'eve'],
    ['twin', 'sven'],
    ['robot', 'sofia'],
  ),
);
/** All at once; those of them who may not are refused as ever. */
const manyApprovals = fc.tuple(which, several).map(([n, who]) =>
  command(`${who.join(', ')} approve ${n}`, async (model, real) => {
    await Promise.all(who.map((one) => approve(model, real, n, one, 'exact')));
  }),
);

const endings = fc.tuple(which, fc.constantFrom('withdraw' as const, 'reject' as const), fc.constantFrom(...people)).map(([n, how, who]) =>
  command(`${how} ${n} by ${who}`, async (model, real) => {
    const [change, known] = [at(real.changes, n), at(model.changes, n)];
    const barred = how === 'reject' && !mayApprove(model, who, known.rule) ? 'ERR_APPROVER' : undefined;
    const expected = barred ?? notWaiting(known, world.clock.now()) ?? 'done';
    const { code } = await world.end(how, change.change, how === 'reject' ? who : world.requester());
    expect([how, code]).toEqual([how, expected]);
    if (code === 'done') known.ended = how === 'reject' ? 'rejected' : 'withdrawn';
    await world.settled(change.change);
  }),
);

const hours = fc.integer({ min: 1, max: 30 }).map((n) => command(`${n} h later`, async () => world.clock.advance(n * 3_600_000), false));
const facets = ['enabled', 'officer', 'direct', 'nested', 'umbrella'] as const satisfies Facet[];
const changesOfPeople = fc
  .tuple(fc.constantFrom(...people), fc.constantFrom(...facets, 'rekey' as const, 'unkey' as const))
  .map(([who, what]) =>
    command(
      `${who}: ${what}`,
      async (model) => {
        const standing = model.standings[who];
        if (what === 'rekey') standing.key = otherKey(standing.key ?? 1);
        else if (what === 'unkey') standing.key = undefined;
        else standing[what] = !standing[what];
        publish(model);
      },
      false,
    ),
  );
const changesOfPolicy = guard.map((to) =>
  command(
    `policy: ${JSON.stringify(to)}`,
    async (model) => {
      model.guard = to;
      publish(model);
    },
    false,
  ),
);

/** It was done, once, with as many distinct people who may as change and policy ask for at this moment. */
function assertDoneOnce(model: Model, real: Real, n: number): void {
  const [{ change }, known] = [at(real.changes, n), at(model.changes, n)];
  expect(isApproved(model, known, known.rule)).toBe(true);
  if (model.guard !== 'none') expect(model.guard !== 'denied' && isApproved(model, known, model.guard)).toBe(true);
  expect(known.ended).toBeUndefined();
  expect(world.executed.get(change)).toBe(1);
  known.ended = 'executed';
}
const executions = fc
  .tuple(which, fc.nat(1), fc.nat(1), fc.constantFrom('exact', 'exact', 'exact', 'altered', 'by another', 'unknown'))
  .map(([n, session, executor, how]) =>
    command(`execute ${n} ${how}`, async (model, real) => {
      const [change, known] = [at(real.changes, n), at(model.changes, n)];
      const asker = how === 'by another' ? { principal: 'simon', session: world.openSession('simon') } : by(real.sessions, session);
      const input = how === 'altered' ? { ...inputOf(change), lifetimeSeconds: 900 } : inputOf(change);
      const id = how === 'unknown' ? 'ch_AAAAAAAAAAAAAAAAAAAAAA' : change.change;
      const { code } = await world.execute(executor, asker, input, id);
      const now = world.clock.now();
      const exact = notExecuted(model, known, now) ?? 'done';
      const altered = notWaiting(known, now) ?? 'ERR_CHANGE_MISMATCH';
      expect([how, code]).toEqual([how, how === 'exact' ? exact : how === 'altered' ? altered : 'ERR_CHANGE_UNKNOWN']);
      if (code === 'done') assertDoneOnce(model, real, n);
      await world.settled(change.change);
    }),
  );
/** Over both services at once, while its requester may take it back: one of them wins. */
const races = fc.tuple(which, fc.integer({ min: 2, max: 4 }), fc.boolean()).map(([n, count, isWithdrawn]) =>
  command(`execute ${n} ${count} times${isWithdrawn ? ' while it is withdrawn' : ''}`, async (model, real) => {
    const [change, known] = [at(real.changes, n), at(model.changes, n)];
    const [withdrawal, ...replies] = await Promise.all([
      isWithdrawn ? world.end('withdraw', change.change, world.requester()) : undefined,
      ...Array.from({ length: count }, (_, i) => world.execute(i % 2, by(real.sessions, i), inputOf(change), change.change)),
    ]);
    const now = world.clock.now();
    const refused = notExecuted(model, known, now);
    const winners = [withdrawal, ...replies].filter((reply) => reply?.code === 'done').length;
    // Refused by policy it is claimed for a moment, in which it cannot be withdrawn.
    if (refused === undefined) expect(winners).toBe(1);
    else expect(replies.filter(({ code }) => code === 'done')).toEqual([]);
    if (notWaiting(known, now)) expect(withdrawal?.code ?? notWaiting(known, now)).toBe(notWaiting(known, now));
    if (withdrawal?.code === 'done') known.ended = 'withdrawn';
    else if (winners === 1) assertDoneOnce(model, real, n);
    await world.settled(change.change);
  }),
);

test(`whatever is requested, approved, withdrawn, altered, replayed and executed in ${runs} flows: done at most once, and never without its quorum at that moment`, async () => {
  const flows = fc.commands(
    [
      requests,
      requests,
      approvals,
      manyApprovals,
      manyApprovals,
      endings,
      hours,
      changesOfPeople,
      changesOfPolicy,
      executions,
      executions,
      races,
    ],
    { maxCommands: 60, size: 'max' },
  );
  const done: string[] = [];
  const property = fc.asyncProperty(flows, async (commands) => {
    const changes: Change[] = [];
    await fc.asyncModelRun(() => {
      const sessions = world.begin();
      const model = newModel();
      publish(model);
      return { model, real: { world, changes, sessions } };
    }, commands);
    done.push(...changes.map(({ change }) => change).filter((change) => world.executed.has(change)));
  });
  await fc.assert(property, { numRuns: runs });
  // Where nothing was executed, nothing of this was tried.
  expect(done.length).toBeGreaterThan(0);
  expect([...world.executed.values()].filter((times) => times !== 1)).toEqual([]);
  for (const change of done)
    await until(async () => (await world.keeper.get(change)).state === 'executed', { what: `${change} to be told as executed` });
  const recorded = (await records()).filter(
    ({ kind, outcome, action }) => kind === 'operation' && outcome === 'success' && action === 'access:IssueToken',
  );
  expect(recorded.flatMap(({ change }) => (change === undefined ? [] : [change])).sort()).toEqual([...world.executed.keys()].sort());
});

async function records(): Promise<Record<string, unknown>[]> {
  const connection = await world.broker.connection('provisionerCore');
  const jsm = await jetstreamManager(connection);
  const { state } = await jsm.streams.info('AUDIT');
  const found: Record<string, unknown>[] = [];
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage('AUDIT', { seq });
    found.push(...parseBatch(Buffer.from(message!.data)).lines.map((line) => JSON.parse(line.toString()) as Record<string, unknown>));
  }
  await connection.close();
  return found;
}
