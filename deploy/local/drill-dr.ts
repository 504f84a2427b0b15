// The disaster recovery drill: a site with many keys is backed up and lost, another one with new tokens is restored from the backup, and every key is proven.
// node dist/deploy/local/drill-dr.js [--keys N] [--out FOLDER] [--workers N]; `claviger drill dr` starts it.
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ClavigerError } from '@claviger/client';
import type { BackupDescription, RestoreDescription } from '@claviger/contracts';
import { openTestStore, readMachine, runCommand, stopChildren, temporaryFolder, until, workspaceRoot } from '@claviger/testing';
import { type DrillReport, markdownOf } from './drill-report';
import { as, type Ciphertext, custodians, deletedAlias, destroy, drillAlias, type Generated, generate, people } from './drill-source';
import { type Stack, startStack } from './stack';

const { values } = parseArgs({
  options: { keys: { type: 'string', default: '50' }, out: { type: 'string' }, workers: { type: 'string', default: '1' } },
});
const count = Number(values.keys);
if (!Number.isInteger(count) || count < 20 || count > 1_000_000) {
  console.error('--keys wants a number from 20 to 1000000');
  process.exit(64);
}
const say = (line: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
const steps: DrillReport['steps'] = [];
async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  say(name);
  const began = performance.now();
  const result = await work();
  steps.push({ step: name, seconds: (performance.now() - began) / 1_000 });
  return result;
}

const folder = await temporaryFolder('drill');
const stores = await Promise.all([openTestStore(), openTestStore()]);
const site = async (name: 'lost' | 'new', recovery?: readonly string[]): Promise<Stack> => {
  const store = stores[name === 'lost' ? 0 : 1] as (typeof stores)[number];
  return startStack({
    ...{ dir: join(folder.path, name), principals: Object.values(people), workers: Number(values.workers) },
    ...{ storeUrl: store.url, databasePrefix: store.databaseName('') },
    recovery: recovery ?? custodians,
    serviceEnv: { 'key-lifecycle': { DUE_SWEEP_SECONDS: '2' } },
    report: (line) => say(`${name} site: ${line}`),
  });
};

try {
  const report = await drill();
  const out = resolve(values.out ?? '.');
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, 'drill-dr.json'), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(out, 'drill-dr.md'), markdownOf(report));
  console.log(markdownOf(report));
  process.exitCode = report.ok ? 0 : 1;
} finally {
  await stopChildren();
  await Promise.all(stores.map((store) => store.stop().catch(() => undefined)));
  await folder.remove();
}
process.exit();

async function drill(): Promise<DrillReport> {
  const startedAt = new Date().toISOString();
  const lost = await step('a site with its tokens', () => site('lost'));
  const generated = await step(`${count} keys, in use`, () => generate(lost, count, say));
  const { backup, madeMs } = await step('backup, and every key in it proven', () => backUp(lost));
  const { newestChangeMs, files } = await step('changes after the backup, and what a witness keeps of them', () =>
    afterwards(lost, generated),
  );
  steps.length = 0;
  say('the site is lost, and its tokens with it');
  const lostMs = Date.now();
  await step('loss', () => lost.stop());
  const fresh = await step('another site, with new tokens', () => site('new'));
  const restore = await step('restore', () => restored(lost, fresh, backup, files));
  const answers = await step('applications ask again', () => ask(fresh, generated.ciphertexts));
  const rtoSeconds = (Date.now() - lostMs) / 1_000;
  const checks = await checked(fresh, generated, backup, restore, answers);
  await fresh.stop();
  const { backupId, bytes, counts, verified, ledgerSize, keysInToken } = backup;
  return {
    ...{
      ok: checks.every(({ ok }) => ok),
      startedAt,
      keys: count,
      rtoSeconds,
      rpoSeconds: (newestChangeMs - Date.parse(backup.createdAt)) / 1_000,
    },
    machine: { cores: availableParallelism(), library: basename(readMachine().pkcs11.libraryPath) },
    backup: { backupId, bytes, counts, verified, ledgerSize, keysInToken, madeMs },
    ...{ restore, steps, checks },
  };
}

async function backUp(lost: Stack): Promise<{ backup: BackupDescription; madeMs: number }> {
  return as(lost, 'operator', async (client) => {
    const { backupId } = await client.backup.create({ reason: 'drill' });
    const timeoutMs = 3_600_000;
    const backup = await until(
      async () => {
        const now = await client.backup.describe({ backupId });
        return (now.verified !== undefined || now.state === 'failed') && now;
      },
      { what: 'the backup to be proven', timeoutMs, everyMs: 250 },
    );
    if (backup.state !== 'complete') throw new Error(`the backup failed: ${backup.failure?.detail}`);
    return { backup, madeMs: Date.parse(backup.finishedAt as string) - Date.parse(backup.createdAt) };
  });
}

/** The last is what the backup lacks that is newest. */
async function afterwards(lost: Stack, { destroyedAfter, suspendedAfter }: Generated) {
  await as(lost, 'officer', (client) => client.keys.suspend({ keyId: suspendedAfter, reason: 'drill' }));
  await destroy(lost, destroyedAfter);
  const newestChangeMs = Date.now();
  const files = { tombstones: join(folder.path, 'tombstones'), checkpoint: join(folder.path, 'checkpoint') };
  await cli(lost, 'auditor', ['backup', 'tombstones', '--out', files.tombstones, '--checkpoint-out', files.checkpoint]);
  return { newestChangeMs, files };
}

async function restored(lost: Stack, fresh: Stack, backup: BackupDescription, files: { tombstones: string; checkpoint: string }) {
  const from = join(folder.path, 'lost');
  const escrow = join(from, 'escrows', `${backup.epoch}.escrow`);
  const shares = custodians.slice(0, 2).flatMap((name) => ['--share', join(lost.installationFolder, 'shares', `${name}.share`)]);
  const stdout = await cli(fresh, 'operator', [
    ...['--json', 'restore', '--backup', join(from, 'backups', backup.file as string), '--escrow', escrow, '--reason', 'drill'],
    ...['--group', join(lost.installationFolder, 'recovery-group.json'), '--site-trust', lost.trustFile, ...shares],
    ...[
      '--folder',
      fresh.installationFolder,
      '--library',
      readMachine().pkcs11.libraryPath,
      '--backup-folder',
      join(folder.path, 'new', 'backups'),
    ],
    ...['--checkpoint', files.checkpoint, '--tombstones', files.tombstones],
  ]);
  return JSON.parse(stdout) as RestoreDescription;
}

interface Answer extends Ciphertext {
  got: string;
}
async function ask(fresh: Stack, ciphertexts: readonly Ciphertext[]): Promise<Answer[]> {
  return as(fresh, 'application', (client) =>
    Promise.all(
      ciphertexts.map(async (one): Promise<Answer> => {
        const { keyId, ciphertext } = one;
        const got = await client.crypto
          .decrypt({ keyId, ciphertext, context: { drill: 'dr' } })
          .then(({ plaintext }) => Buffer.from(plaintext).toString())
          .catch((error: unknown) => (error instanceof ClavigerError ? error.code : Promise.reject(error)));
        return { ...one, got };
      }),
    ),
  );
}

async function checked(
  fresh: Stack,
  generated: Generated,
  { counts }: BackupDescription,
  restore: RestoreDescription,
  answers: readonly Answer[],
): Promise<DrillReport['checks']> {
  const gotOf = (keyId: string) => answers.find((one) => one.keyId === keyId)?.got ?? 'nothing';
  const others = answers.filter(({ keyId }) => keyId !== generated.destroyedAfter && keyId !== generated.suspendedAfter);
  const right = others.filter(({ got, plaintext }) => got === plaintext).length;
  const { proof, progress } = restore;
  const dead = await as(fresh, 'administrator', async (client) => {
    const described = await client.keys.describe({ keyId: generated.destroyedBefore });
    return described.versions.map(({ state }) => state).join(', ');
  });
  const encrypts = await as(fresh, 'application', async (client) => {
    const { keyId } = others[0] as Answer;
    return (await client.crypto.encrypt({ keyId, plaintext: Buffer.from('new') })).version;
  });
  const named = await as(fresh, 'application', async ({ crypto }) => {
    const by = (keyId: string) =>
      crypto.encrypt({ keyId, plaintext: Buffer.from('new') }).then(
        (answer) => answer.keyId,
        (error: ClavigerError) => error.code,
      );
    // Whoever may not list keys is not told that there is none of this name.
    return { alias: await by(drillAlias), deleted: await by(deletedAlias) };
  });
  return [
    {
      check: 'every key of the backup is in the new site',
      ok: progress.keys === counts?.keys && counts.keys === generated.keys,
      detail: `${progress.keys} of ${generated.keys}`,
    },
    {
      check: 'every version is proven by its canary or its public half',
      ok: proof?.ok === true && proof.proven === counts?.proven && counts.proven === counts.versions,
      detail: `${proof?.proven ?? 0} of ${counts?.versions ?? 0}`,
    },
    {
      check: 'applications read what they encrypted at the lost site',
      ok: right === others.length,
      detail: `${right} of ${others.length}`,
    },
    { check: 'a key that was destroyed before the backup stays destroyed', ok: dead === 'destroyed', detail: dead },
    {
      check: 'a key that was destroyed after the backup does not come back',
      ok: gotOf(generated.destroyedAfter) === 'ERR_KEY_STATE',
      detail: gotOf(generated.destroyedAfter),
    },
    {
      check: 'a key that was suspended after the backup comes back suspended',
      ok: gotOf(generated.suspendedAfter) === 'ERR_KEY_SUSPENDED',
      detail: gotOf(generated.suspendedAfter),
    },
    {
      check: 'an alias names its key, and one that was deleted names none',
      ok: named.alias === others[0]?.keyId && named.deleted === 'ERR_ACCESS_DENIED',
      detail: `${named.alias}, ${named.deleted}`,
    },
    { check: 'what encrypted at the lost site encrypts under a new version', ok: encrypts === 2, detail: `version ${encrypts}` },
  ];
}

async function cli(at: Stack, role: keyof typeof people, args: string[]): Promise<string> {
  const tokens = await at.tokens([people[role]]);
  const file = join(folder.path, `${role}.token`);
  writeFileSync(file, tokens[people[role].id] as string, { mode: 0o600 });
  const { stdout, stderr, code } = await runCommand(process.execPath, [join(workspaceRoot(), 'dist/apps/cli/main.js'), ...args], {
    allowFailure: true,
    timeoutMs: 3_600_000,
    env: { PATH: process.env.PATH, CLAVIGER_URL: at.broker.url, CLAVIGER_TOKEN_FILE: file, CLAVIGER_TRUST_FILE: at.trustFile },
  });
  if (code !== 0 && code !== 1) throw new Error(`claviger ${args.slice(0, 3).join(' ')} gave ${code}: ${stderr}`);
  return stdout;
}
