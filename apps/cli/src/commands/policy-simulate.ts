import { existsSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { bundleHash } from '@claviger/authz';
import type { Client } from '@claviger/client';
import { PolicyBundle } from '@claviger/contracts';
import type { Command } from 'commander';
import { CommandError, Finding } from '../exit-codes';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { checkedFolder } from '../policy-check/valid-folder';
import { offline } from '../run';
import { withClient } from '../session';
import type { ChangedDecision, Tally } from '../simulation/changed-decisions';
import { keysTodayIn, keysTodayOf } from '../simulation/keys-today';
import { type LedgerSource, ledgerIn, ledgerOf } from '../simulation/ledger-source';
import { mostFrequent, replay } from '../simulation/replay';
import { keepReplay, recallReplay, simulationName } from '../simulation/replay-state';
import { sessionLastsMs } from '../simulation/sessions-seen';
import type { KeyToday } from '../simulation/shard';
import { startShard } from '../simulation/shard-thread';

interface Options {
  days: string;
  from?: string;
  keys?: string;
  stateFile?: string;
  threads?: string;
  show: string;
  failOnChange?: boolean;
}
const dayMs = 86_400_000;

/** What would have been decided otherwise: the ledger's own decisions, asked again of a candidate. */
export function simulateCommand(policy: Command): void {
  policy
    .command('simulate <folder>')
    .description('decide what the ledger recorded anew by the policies in a folder, and list every decision that would change')
    .option('--days <n>', 'of the last so many days', '30')
    .option('--from <folder>', 'an export of the ledger (`claviger audit export`), without asking a server')
    .option('--keys <file>', 'keys as `keys list --json` writes them (default: keys.json of the export, or those of the server)')
    .option('--state-file <file>', 'goes on from here after an interruption; deleted at the end')
    .option('--threads <n>', 'that ask the policies at the same time (default: one per CPU, at most 4)')
    .option('--show <n>', 'changes that are shown at most; all of them are in --json', '50')
    .option('--fail-on-change', 'exit 1 when a decision would change')
    .action(
      offline<Options, [string]>(async ({ options, settings, output }, folder) => {
        const candidate = checkedFolder(output, folder);
        const days = wholeNumber('--days', options.days) as number;
        const run = (source: LedgerSource, people: PolicyBundle | undefined, keys: ReadonlyMap<string, KeyToday>) =>
          simulate({ options, output, days, source, keys, candidate: withPeople(output, candidate, people, folder) });
        if (options.from !== undefined) {
          const { from } = options;
          await run(ledgerIn(from), undefined, keysTodayIn(options.keys ?? join(from, 'keys.json')));
        } else
          await withClient(settings, async (client) => {
            const running = (await client.policy.show()).bundle;
            const keys = options.keys === undefined ? await keysOf(client, output) : keysTodayIn(options.keys);
            await run(ledgerOf(client), running, keys);
          });
      }),
    );
}

const keysOf = (client: Client, output: Output) => keysTodayOf(client, (found) => output.progress(`${found} keys read`));

/** A folder of policies only is asked about the people that are there now. */
function withPeople(output: Output, candidate: PolicyBundle, running: PolicyBundle | undefined, folder: string): PolicyBundle {
  if (running === undefined || existsSync(join(folder, 'principals.json'))) return candidate;
  output.note(`${folder} has no principals.json: asked about the people of the bundle in force`);
  const { principals, grants, groups } = running;
  const whole = PolicyBundle.safeParse({ ...candidate, principals, grants, ...(groups ? { groups } : {}) });
  if (whole.success) return whole.data;
  throw new CommandError(
    'badInput',
    'the people of the bundle in force do not fit the candidate',
    'Put a principals.json into the folder.',
  );
}

interface Simulation {
  options: Options;
  output: Output;
  days: number;
  source: LedgerSource;
  keys: ReadonlyMap<string, KeyToday>;
  candidate: PolicyBundle;
}

async function simulate({ options, output, days, source, keys, candidate }: Simulation): Promise<void> {
  const begun = performance.now();
  const { stateFile } = options;
  // To the day: a run that goes on tomorrow is of another period.
  const firstMs = Math.floor((Date.now() - days * dayMs) / dayMs) * dayMs;
  const name = simulationName(bundleHash({ ...candidate, publishedAt: '' }), [...keys].sort(), firstMs, options.from ?? 'server');
  const before = stateFile === undefined ? undefined : recallReplay(stateFile, name);
  if (before) output.note(`going on at leaf ${before.next}`);
  const firstIndex = before?.next ?? (await source.indexAt(firstMs));
  // Who had authenticated before, and was connected still.
  const from = before ? Math.max(0, firstIndex - sessionsAgain) : await source.indexAt(firstMs - sessionLastsMs);
  const threads = wholeNumber('--threads', options.threads) ?? Math.min(4, availableParallelism());
  const shards = Array.from({ length: threads }, () => startShard({ candidate, keys, firstIndex, firstMs }));
  try {
    const { tally, next } = await replay({
      ...{ source, shards, from },
      ...(before ? { before: before.tally } : {}),
      reached: ({ index, size, tally: so }) => {
        const seconds = (performance.now() - begun) / 1_000;
        const line = `${index}${size === undefined ? '' : ` of ${size}`} leaves, ${so.decisions} decisions, ${so.changed.size} change, ${seconds.toFixed(0)} s`;
        if (output.onTerminal) output.progress(line);
        else output.note(line);
        if (stateFile !== undefined) keepReplay(stateFile, name, index, so);
      },
    });
    output.progress(undefined);
    if (stateFile !== undefined) rmSync(stateFile, { force: true });
    tell(output, tally, {
      days,
      leaves: next - from,
      seconds: (performance.now() - begun) / 1_000,
      show: wholeNumber('--show', options.show) as number,
    });
    if (options.failOnChange && tally.changed.size > 0) throw new Finding(`${tally.changed.size} decision(s) would change`);
  } finally {
    await Promise.all(shards.map((shard) => shard.end()));
  }
}
/** Leaves before the place where an interrupted run stopped, of which only the sessions are read again. */
const sessionsAgain = 200_000;

interface About {
  days: number;
  leaves: number;
  seconds: number;
  show: number;
}

function tell(output: Output, tally: Tally, { days, leaves, seconds, show }: About): void {
  const changed = mostFrequent(tally);
  const undecidable = [...tally.undecidable.values()];
  const count = (all: readonly { count: number }[]) => all.reduce((sum, one) => sum + one.count, 0);
  const { decisions, unchanged, otherPolicies, keyChanged, evaluated, passed } = tally;
  const result = {
    days,
    leaves,
    decisions,
    distinct: evaluated,
    unchanged,
    otherPolicies,
    keyChanged,
    passed,
    seconds: Math.round(seconds * 10) / 10,
  };
  output.fields(
    { ...result, changed, undecidable },
    {
      ...{ leaves, decisions, 'put to Cedar': evaluated, unchanged },
      'the same by other policies': otherPolicies,
      'would change': `${count(changed)} decisions, of ${changed.length} kinds`,
      undecidable: `${count(undecidable)} decisions`,
      'decided with a key as it is today, not as it was': keyChanged,
      'without a decision':
        Object.entries(passed)
          .map(([why, n]) => `${n} ${why}`)
          .join(', ') || 'none',
      took: `${seconds.toFixed(1)} s`,
    },
  );
  if (output.isJson) return;
  for (const { why, action, count: n, first, last } of undecidable)
    output.note(`UNDECIDABLE ${n} × ${action}: ${why} (leaves ${first} to ${last})`);
  for (const change of changed.slice(0, show)) output.note(changeText(change));
  if (changed.length > show) output.note(`… and ${changed.length - show} more (--show, or --json)`);
}

function changeText({ principal, action, keyId, was, is, isBy, why, count, first, last, keyChanged, example }: ChangedDecision): string {
  const about = [
    example.time,
    ...(example.mfa === undefined ? [] : [example.mfa ? 'with a second factor' : 'without a second factor']),
    ...(example.method ? [example.method] : []),
    ...(example.context ? [JSON.stringify(example.context)] : []),
  ].join(', ');
  return `CHANGES ${was} -> ${is}: ${principal} ${action}${keyId ? ` ${keyId}` : ''}: ${why}
  ${count} time(s), leaves ${first} to ${last}${isBy.length > 0 ? `, by ${isBy.join(', ')}` : ''}${keyChanged > 0 ? `; ${keyChanged} with the key as it is today` : ''}; such as ${about}`;
}
