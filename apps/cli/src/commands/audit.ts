import { readFileSync } from 'node:fs';
import type { Client } from '@claviger/client';
import { type Outcome, Trust } from '@claviger/contracts';
import type { Command } from 'commander';
import { defaultMemoryFile, recall, remember } from '../checkpoint-memory';
import { CommandError, Finding } from '../exit-codes';
import { ledgerSource } from '../ledger-source';
import { type Verification, verifyLedger } from '../ledger-verification';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { online } from '../run';
import { required } from '../settings';
import { keepState, recallState } from '../verified-state';
import { keyIdOf } from './aliases';
import { exportCommand } from './audit-export';

/** The ledger: verify it without believing it, and look things up in it. */
export function auditCommands(program: Command): void {
  const audit = program.command('audit').description('the ledger of everything that was done');
  audit
    .command('verify')
    .description(
      'download the ledger and verify it with the public keys in trust.json, from where the last run stopped; exit 1 on any finding',
    )
    .option('--state-file <file>', 'where the last verified checkpoint is remembered, and beside it what was verified')
    .option('--full', 'read every leaf, from the first one on')
    .option('--quick', 'checkpoint signature and consistency with the last verified one only')
    .action(
      online<{ stateFile?: string; full?: boolean; quick?: boolean }>(async ({ client, options, settings, output }) => {
        const { stateFile, full = false, quick = false } = options;
        if (full && quick) throw new CommandError('usage', '--full and --quick exclude each other');
        const trust = readTrust(required(settings, 'trustFile'));
        const { origin } = trust.ledger;
        const file = stateFile ?? defaultMemoryFile(origin, process.env);
        const remembered = recall(file, origin);
        if (quick && !remembered)
          throw new CommandError('usage', '--quick needs a checkpoint that was verified before', 'Verify once without it.');
        const kept = remembered?.state && !full && !quick ? recallState(file, remembered.state, trust) : undefined;
        if (kept && 'doubt' in kept) output.note(`reading the whole ledger: ${kept.doubt}`);
        const resume = kept && 'state' in kept ? kept.state : undefined;
        const started = performance.now();
        const { state, ...verification } = await verifyLedger(ledgerSource(client), {
          trust,
          remembered,
          resume,
          quick,
          progress: bar(output),
        });
        output.progress(undefined);
        for (const doubt of verification.doubts ?? []) output.note(`the whole ledger was read: ${doubt}`);
        tell(output, verification, (performance.now() - started) / 1_000);
        const { problems, findings, size, root, note } = verification;
        if (problems.length > 0 && kept && 'doubt' in kept)
          output.note(
            `${file} may be of another installation that has the same origin: --state-file or CLAVIGER_STATE_DIR keeps them apart`,
          );
        if (problems.length > 0) throw new Finding(`${problems.length} problem(s): the ledger is NOT in order`);
        if (!quick) remember(file, { origin, size, root, note, ...(state ? { state: keepState(file, state, trust) } : {}) });
        if (findings.length > 0) throw new Finding(`${findings.length} finding(s) of the ledger itself`);
      }),
    );
  exportCommand(audit);
  audit
    .command('query')
    .description('records, newest first, each with its index in the ledger')
    .option('--key <key>')
    .option('--of <principal>')
    .option('--action <action>', 'such as crypto:Decrypt')
    .option('--outcome <outcome>', 'success, denied, failed or dry-run')
    .option('--kind <kind>', 'operation, committed, session, violation, refused-state, …')
    .option('--trace <id>', '32 hex digits')
    .option('--from <time>', 'RFC 3339, or a date')
    .option('--to <time>')
    .option('--limit <n>', 'at most this many', '50')
    .action(online<Filter>(async ({ client, options, output }) => showRecords(output, await find(client, options))));
}

interface Filter extends Partial<Record<'key' | 'of' | 'action' | 'kind' | 'trace' | 'from' | 'to', string>> {
  outcome?: Outcome;
  limit: string;
}
type Found = { index: number; record: Record<string, unknown> };

async function find(client: Client, { key, of, action, outcome, kind, trace, from, to, limit }: Filter): Promise<Found[]> {
  const wanted = wholeNumber('--limit', limit) ?? 50;
  // Who asks the ledger by an alias asks about the key that it names now.
  const keyId = key === undefined ? undefined : await keyIdOf(client, key);
  const filter = { keyId, principal: of, action, outcome, kind, trace, from: time('--from', from), to: time('--to', to) };
  const found: Found[] = [];
  for (let before: number | undefined; found.length < wanted; ) {
    const { records, next } = await client.audit.query({ ...filter, limit: Math.min(wanted - found.length, 1_000), before });
    found.push(...records);
    if (next === undefined) break;
    before = next;
  }
  return found;
}

function showRecords(output: Output, found: Found[]): void {
  const field = (name: string) => ({ title: name.toUpperCase(), value: ({ record }: Found) => record[name] as string | undefined });
  output.table(found, found, [
    { title: 'INDEX', value: ({ index }) => index },
    field('time'),
    field('service'),
    field('principal'),
    { title: 'WHAT', value: ({ record }) => what(record) },
    { title: 'KEY', value: ({ record }) => record.keyId as string | undefined },
    field('outcome'),
    {
      title: 'CODE',
      value: ({ record }) => (record.code ?? (record.kind === 'refused-state' ? record.reason : undefined)) as string | undefined,
    },
  ]);
}

/** A change that was recorded only after its process had ended is told from an operation that was answered. */
const what = ({ kind, action, event, finding }: Found['record']): string =>
  kind === 'committed' ? `${action} (committed)` : String(action ?? event ?? finding ?? kind);

const width = 30;
const bar = (output: Output) => (done: number, size: number) => {
  const filled = Math.round((done / size) * width);
  output.progress(`verifying ${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${done} of ${size} leaves`);
};

/** Found things are shown up to here; all of them are in --json. */
const shownAtMost = 20;

function tell(output: Output, verification: Verification, seconds: number): void {
  const { problems, findings, origin, size, root, batches, records, chains } = verification;
  const more = (list: readonly unknown[]) => (list.length > shownAtMost ? ` (the first ${shownAtMost} shown)` : '');
  output.fields(verification, {
    ledger: origin,
    leaves: size,
    'read this time': verification.from === undefined ? 'none' : `${size - verification.from} leaves`,
    root,
    batches,
    records,
    'chains of workers and services': chains,
    'extends the checkpoint of': verification.extends === undefined ? 'none remembered' : `${verification.extends} leaves`,
    problems: `${problems.length}${more(problems)}`,
    findings: `${findings.length}${more(findings)}`,
    took: `${seconds.toFixed(1)} s`,
  });
  for (const { index, problem, chain } of problems.slice(0, shownAtMost))
    output.note(`PROBLEM ${index === undefined ? '' : `at leaf ${index} `}${problem}${chain ? ` (${chain})` : ''}`);
  for (const { index, finding, detail } of findings.slice(0, shownAtMost)) output.note(`FINDING at leaf ${index} ${finding}: ${detail}`);
}

function readTrust(file: string): Trust {
  try {
    return Trust.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? 'not a trust.json';
    throw new CommandError('configuration', `CLAVIGER_TRUST_FILE: ${file} cannot be used (${reason})`);
  }
}

function time(flag: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new CommandError('usage', `${flag} wants a time such as 2026-01-31T12:00:00Z`);
  return new Date(ms).toISOString();
}
