import { createHash } from 'node:crypto';
import { ClavigerError, type Client } from '@claviger/client';
import { ComplianceReport, ControlStatements } from '@claviger/contracts';
import type { Command } from 'commander';
import { outlineOf } from '../compliance/outline';
import { packsUnread } from '../compliance/packs-in-force';
import { htmlOf, markdownOf } from '../compliance/render';
import { verifyReport } from '../compliance/verify-report';
import { verifySeal } from '../compliance/verify-seal';
import { makeReport, type ReportOptions } from '../compliance-make';
import { sealed } from '../compliance-seal';
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
    .option('--no-seal', 'do not have its SHA-256 recorded in the ledger')
    .option('--quick', 'verify the checkpoint of the ledger only: whether it verifies as a whole is then unknown')
    .action(online<ReportOptions>(async ({ client, options, settings, output }) => report(client, options, settings, output)));
  compliance
    .command('verify <report>')
    .description(
      'a report (JSON) and its evidence: that the ledger recorded exactly this report, and each leaf, its proof and the checkpoint, with trust.json only; exit 1 on any problem. Offline',
    )
    .option('--unsealed', 'of a report that was not sealed: the evidence only')
    .action(
      offline<{ unsealed?: boolean }, [string]>(({ options, settings, output }, file) => {
        const given = readJson(file, ComplianceReport, 'a compliance report');
        const trust = readTrust(required(settings, 'trustFile'));
        const { proven, without, problems: ofEvidence } = verifyReport(given, trust);
        const seal = options.unsealed && !given.seal ? undefined : verifySeal(given, trust);
        const problems = [...(seal && 'problem' in seal ? [seal.problem] : []), ...ofEvidence];
        output.fields(
          { ...(seal && !('problem' in seal) ? { seal } : {}), proven, without, problems },
          {
            ...(seal && !('problem' in seal) ? { sealed: `leaf ${seal.index}, ${seal.recordedAt}, by ${seal.recordedBy}` } : {}),
            ...{ 'leaves proven': proven, 'newer than the checkpoint': without, problems: problems.length },
          },
        );
        for (const problem of problems) output.note(`PROBLEM ${problem}`);
        if (problems.length > 0) throw new Finding(`${problems.length} problem(s): the report is NOT what the ledger holds`);
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
  const whole = await makeReport(client, { options, settings, output, limit, days, statements, before });
  const made = options.seal ? await sealedIfPossible(client, whole, settings, output) : whole;
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

/** A report that cannot be sealed is one all the same, and says that it is not. */
async function sealedIfPossible(client: Client, report: ComplianceReport, settings: Settings, output: Output): Promise<ComplianceReport> {
  try {
    return await sealed(client, report, readTrust(required(settings, 'trustFile')));
  } catch (error) {
    if (error instanceof ClavigerError || error instanceof CommandError) {
      output.note(`the report is NOT sealed: ${error.message}`);
      return report;
    }
    throw error;
  }
}
