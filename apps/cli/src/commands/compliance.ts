import { createHash } from 'node:crypto';
import type { Client } from '@claviger/client';
import { ComplianceReport, ControlStatements } from '@claviger/contracts';
import type { Command } from 'commander';
import { outlineOf } from '../compliance/outline';
import { packsUnread } from '../compliance/packs-in-force';
import { htmlOf, markdownOf } from '../compliance/render';
import { verifyReport } from '../compliance/verify-report';
import { makeReport, type ReportOptions } from '../compliance-make';
import { CommandError, Finding } from '../exit-codes';
import { writeBytes } from '../files';
import type { Output } from '../output';
import { packsFolder } from '../pack-files';
import { wholeNumber } from '../pairs';
import { collect, offline, online } from '../run';
import { required, type Settings } from '../settings';
import { readJson, readTrust } from '../site-files';

/** Regulations against what is there: control, policies, checks, evidence, gap. */
export function complianceCommands(program: Command): void {
  const compliance = program.command('compliance').description('what regulations ask for, and what is there');
  compliance
    .command('report')
    .description('control → policies → checks → evidence with proofs → gap, owner, due date; exit 1 when something failed or is unknown')
    .option('--pack <pack>', 'only this one; may be given several times (default: those in force, else all)', collect)
    .option('--packs <folder>', 'where the packs are', packsFolder)
    .option('--format <format>', 'md, html or json (default: md; json with --json)')
    .option('--out <file>', 'written for your eyes only; else to standard output')
    .option('--since <report>', 'the JSON of the report before: due dates count from when a gap was first seen')
    .option('--statements <file>', 'JSON: what people supply for what no program sees')
    .option('--drill <file>', 'drill-dr.json of the last rehearsal of a restore')
    .option('--days <n>', 'evidence of so many days', '365')
    .option('--evidence <n>', 'newest records of each kind of evidence, 1 to 100', '3')
    .option('--quick', 'verify the checkpoint of the ledger only: whether it verifies as a whole is then unknown')
    .action(online<ReportOptions>(async ({ client, options, settings, output }) => report(client, options, settings, output)));
  compliance
    .command('verify <report>')
    .description(
      'the evidence of a report (JSON): each leaf, its proof and the checkpoint, with trust.json only; exit 1 on any problem. Offline',
    )
    .action(
      offline<object, [string]>(({ settings, output }, file) => {
        const { proven, without, problems } = verifyReport(
          readJson(file, ComplianceReport, 'a compliance report'),
          readTrust(required(settings, 'trustFile')),
        );
        output.fields(
          { proven, without, problems },
          { 'leaves proven': proven, 'newer than the checkpoint': without, problems: problems.length },
        );
        for (const problem of problems) output.note(`PROBLEM ${problem}`);
        if (problems.length > 0) throw new Finding(`${problems.length} problem(s): the evidence is NOT what the ledger holds`);
      }),
    );
}

async function report(client: Client, options: ReportOptions, settings: Settings, output: Output): Promise<void> {
  const format = options.format ?? (options.json ? 'json' : 'md');
  if (!['md', 'html', 'json'].includes(format)) throw new CommandError('usage', '--format is md, html or json');
  const limit = wholeNumber('--evidence', options.evidence) as number;
  if (limit < 1 || limit > 100) throw new CommandError('usage', '--evidence wants 1 to 100');
  const days = wholeNumber('--days', options.days) as number;
  const before = options.since === undefined ? undefined : readJson(options.since, ComplianceReport, 'a compliance report');
  const statements = options.statements === undefined ? [] : readJson(options.statements, ControlStatements, 'a list of statements');
  const made = await makeReport(client, { options, settings, output, limit, days, statements, before });
  const text =
    format === 'json'
      ? `${JSON.stringify(made, null, 2)}\n`
      : format === 'html'
        ? htmlOf('Compliance report', outlineOf(made))
        : markdownOf(outlineOf(made));
  const bytes = Buffer.from(text);
  if (options.out === undefined) process.stdout.write(bytes);
  else {
    await writeBytes(options.out, bytes);
    output.note(`${options.out}: SHA-256 ${createHash('sha256').update(bytes).digest('hex')}`);
  }
  const count = (kind: string) => made.gaps.filter((gap) => gap.kind === kind).length;
  const unknown = count('unknown') + packsUnread(made);
  const overdue = made.gaps.filter((gap) => gap.overdue).length;
  output.note(
    `${count('failed')} failed, ${unknown} unknown, ${count('manual')} for a person to supply; ${overdue} overdue, ${made.closed.length} closed since the report before`,
  );
  if (count('failed') + unknown > 0) throw new Finding('There are gaps');
}
