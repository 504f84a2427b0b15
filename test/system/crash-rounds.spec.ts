import { setTimeout as delay } from 'node:timers/promises';
import { builtPrograms, readMachine, runCommand, until, workspaceRoot } from '@claviger/testing';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { RunningService } from '../../deploy/local/stack';
import { cast } from '../demo/cast';
import { EstateReader, type StoredKey } from './key-estate';
import { differences } from './key-invariants';
import { type Callers, KeyTraffic, operationsOfTraffic } from './key-traffic';
import { LedgerCopy } from './ledger';
import { codeIn } from './raw-caller';
import { chance } from './seeded';
import { type System, startSystem } from './system';

/** `npm run crash-rounds -- --rounds 200 --seed 7`; `npm test` runs a few. */
const rounds = Number(process.env.CLAVIGER_CRASH_ROUNDS ?? 3);
const seed = Number(process.env.CLAVIGER_CRASH_SEED ?? Math.floor(Math.random() * 2 ** 32));
const roundsPerCheck = 20;
const concurrency = 6;
/** From so many rounds on even the rarest command has been answered with a result. */
const roundsForEach = 20;
/** A promised record is written by whoever finds it when it is so old: longer than the operations of here take, shorter than in earnest. */
const owedSeconds = 10;
/** An object of a token that no key names is destroyed after so long; in earnest after half an hour. */
const orphanSeconds = 20;

let system: System;
let estate: EstateReader;
let ledger: LedgerCopy;
const dice = chance(seed);
const traffic = new KeyTraffic(dice.fork());
const killed = new Map<string, number>();

beforeAll(async () => {
  system = await startSystem('crash-rounds', {
    serviceEnv: {
      'key-lifecycle': {
        OWED_RECORD_SECONDS: String(owedSeconds),
        ORPHAN_SECONDS: String(orphanSeconds),
        DUE_SWEEP_SECONDS: '1',
        STORE_CHECK_SECONDS: '1',
      },
    },
  });
  await system.stack.start('key-lifecycle');
  estate = await EstateReader.open(system.stack);
  ledger = new LedgerCopy(await system.as('ada'));
  await builtPrograms('test/system/age-key.ts', 'test/system/token-labels.ts');
}, 180_000);
afterAll(async () => {
  await traffic.stop();
  await estate?.close();
  await system?.stop();
}, 60_000);

const callers = async () => {
  const who = ['kim', 'sam', 'payments'] as const;
  const tokens = await system.stack.tokens(who.map((one) => cast[one]));
  const [kim, sam, payments] = await Promise.all(who.map((one) => system.raw(one, tokens[cast[one].id])));
  return { kim, sam, payments } as Callers;
};

const victims = [
  { names: ['key-lifecycle'], weight: 6 },
  { names: ['crypto-worker'], weight: 3 },
  { names: ['audit'], weight: 1 },
  { names: ['key-lifecycle', 'key-lifecycle'], weight: 1 },
  { names: ['key-lifecycle', 'crypto-worker'], weight: 1 },
] as const;

/** Kills whom the dice say, in the middle of whatever they do, and starts others in their place. */
async function crash(): Promise<void> {
  const { services } = system.stack;
  const chosen: RunningService[] = [];
  for (const name of dice.pick(victims, ({ weight }) => weight).names)
    chosen.push(dice.pick(services.filter((one) => one.name === name && !chosen.includes(one))));
  await delay(dice.between(20, 900));
  await Promise.all(chosen.map(({ child }) => child.kill9()));
  for (const one of chosen) {
    services.splice(services.indexOf(one), 1);
    killed.set(one.name, (killed.get(one.name) ?? 0) + 1);
  }
  await delay(dice.between(0, 400));
  await Promise.all(chosen.map(({ name }) => system.stack.start(name)));
}

/** As if the waiting period of some keys were over: they are destroyed while the rounds go on. */
async function age(): Promise<void> {
  const waits = ({ deletionAt, versions }: StoredKey) =>
    deletionAt !== undefined && deletionAt > new Date().toISOString() && versions.some(({ state }) => state !== 'destroyed');
  const { documents, claimed } = await estate.store();
  const keys = documents.filter((key) => waits(key) && !claimed.includes(key.keyId)).map(({ keyId }) => keyId);
  if (keys.length === 0) return;
  const { installationFolder, databasePrefix, storeUrl } = system.stack;
  const args = [installationFolder, readMachine().pkcs11.libraryPath, `${databasePrefix}keys`, keys.join(','), '8'];
  await runCommand(process.execPath, ['dist/test/system/age-key.js', ...args], {
    cwd: workspaceRoot(),
    env: { ...process.env, MONGODB_URL: storeUrl },
  });
}

/** What is in the token and named by no key, and what a key names and the token has not. */
async function misplaced(): Promise<string[]> {
  const { installationFolder } = system.stack;
  const list = ['dist/test/system/token-labels.js', installationFolder, readMachine().pkcs11.libraryPath];
  const { stdout } = await runCommand(process.execPath, list, { cwd: workspaceRoot() });
  const inToken = new Set(JSON.parse(stdout) as string[]);
  const { documents } = await estate.store();
  const material = documents.flatMap(({ versions }) => versions.map((version) => version.material));
  const named = new Set(material.flatMap((one) => (one?.custody === 'token' ? [one.label] : [])));
  return [
    ...[...inToken].filter((label) => !named.has(label)).map((label) => `token object ${label} belongs to no key`),
    ...[...named].filter((label) => !inToken.has(label)).map((label) => `token object ${label} is gone, and a key names it`),
  ];
}

/** A refusal whose code says nothing of why, with what the services say that still run. */
function unexplained(): string[] {
  const count = traffic.refusals.get('ERR_INTERNAL') ?? 0;
  if (count === 0) return [];
  const lines = system.stack.services.flatMap(({ child }) =>
    child
      .logs()
      .split('\n')
      .filter((line) => line.includes('ERR_INTERNAL')),
  );
  return [`ERR_INTERNAL ${count} times`, ...lines.slice(0, 5)];
}

/** What is stored of some keys beside what is signed, and what the services say of them. */
async function stuck(keyIds: string[]): Promise<string> {
  const stored = await estate.besideKeys(keyIds);
  const lines = system.stack.services.flatMap(({ name, child }) =>
    child
      .logs()
      .split('\n')
      .filter((line) => keyIds.some((keyId) => line.includes(keyId)))
      .slice(-10)
      .map((line) => `${name}: ${line}`),
  );
  return [...stored.map((one) => JSON.stringify(one)), ...lines].join('\n');
}

/** Nothing waits to be delivered, recorded or destroyed any more, and the ledger has every change. */
async function settle(): Promise<string[]> {
  const left = async () => (({ pending, due }) => [...pending, ...due])(await estate.store());
  await until(async () => (await left()).length === 0, {
    what: 'everything to be delivered and recorded',
    timeoutMs: (owedSeconds + 60) * 1_000,
    everyMs: 200,
  }).catch(async (cause) => {
    throw new Error(`seed ${seed}: these are not delivered or recorded: ${await stuck(await left())}`, { cause });
  });
  const { receipt } = await (await system.as('ada')).audit.checkpoint({});
  await ledger.with(receipt ? [receipt] : []);
  await until(async () => (await misplaced()).length === 0, {
    what: 'token objects without a key to be destroyed',
    timeoutMs: (orphanSeconds * 3 + 60) * 1_000,
    everyMs: 1_000,
  }).catch(async (cause) => {
    throw new Error(`seed ${seed}: ${(await misplaced()).join(', ')}`, { cause });
  });
  // A command that its caller has given up may still be on its way: what changed while it was read is read again.
  const revisions = async () => JSON.stringify((await estate.store()).documents.map(({ keyId, revision }) => [keyId, revision]).sort());
  for (;;) {
    const before = await revisions();
    const found = differences(await estate.read((await ledger.readOn()).records), traffic.acknowledged);
    if (found.length === 0 || before === (await revisions())) return found;
  }
}

test(
  `kill -9 at random points, ${rounds} rounds with seed ${seed}: no lost key, no duplicate event, no change without its record, bucket and store alike`,
  async () => {
    for (let done = 0; done < rounds; ) {
      const inHand = await callers();
      traffic.start(inHand, concurrency);
      const upTo = Math.min(rounds, done + roundsPerCheck);
      for (; done < upTo; done++) {
        await crash();
        if (done % 5 === 2) await age();
      }
      await traffic.stop();
      const found = [...(await settle()), ...unexplained()];
      await Promise.all(Object.values(inHand).map((one) => one.close()));
      const said = {
        rounds: done,
        seed,
        killed: Object.fromEntries(killed),
        acknowledged: traffic.acknowledged.length,
        unanswered: traffic.unanswered.length,
      };
      console.log(JSON.stringify({ ...said, refused: Object.fromEntries(traffic.refusals) }));
      expect({ ...said, found }).toEqual({ ...said, found: [] });
    }
    // Where nothing was changed, or nobody was killed, nothing of this was tried.
    const changed = new Set(traffic.acknowledged.map(({ operation }) => operation));
    expect({ seed, killed: [...killed.values()].reduce((sum, n) => sum + n, 0) >= rounds }).toEqual({ seed, killed: true });
    expect(rounds < roundsForEach ? [] : operationsOfTraffic.filter((operation) => !changed.has(operation))).toEqual([]);
    for (const operation of ['keys.create', 'keys.rotate']) expect([...changed]).toContain(operation);
  },
  180_000 + rounds * 20_000,
);

test('what was encrypted meanwhile is decrypted by every version that may still process', async () => {
  const { payments } = await callers();
  const { documents } = await estate.store();
  const usable = new Set(
    documents
      .filter(({ suspended, deletionAt }) => !suspended && deletionAt === undefined)
      .flatMap(({ keyId, versions }) =>
        versions.filter(({ state }) => state === 'active' || state === 'deactivated').map(({ version }) => `${keyId} ${version}`),
      ),
  );
  const wrong: string[] = [];
  const to = traffic.ciphertexts.filter((one) => usable.has(`${one.keyId} ${one.version}`));
  expect({ seed, some: to.length > 0 }).toEqual({ seed, some: true });
  for (const { keyId, version, plaintext, ciphertext } of to) {
    const reply = await payments.ask('crypto.decrypt', { keyId, ciphertext });
    const right = 'result' in reply && (reply.result as { plaintext: string }).plaintext === plaintext;
    if (!right) wrong.push(`${keyId}#${version}: ${codeIn(reply)}`);
  }
  await payments.close();
  expect({ seed, wrong }).toEqual({ seed, wrong: [] });
});

test('the whole ledger verifies, and nobody was accused of tampering', async () => {
  await new LedgerCopy(await system.as('ada')).verify(system.stack.trustFile, { bySweepsTwice: true });
  expect(ledger.records.filter(({ kind }) => kind === 'refused-state')).toEqual([]);
});
