import { readFileSync, writeFileSync } from 'node:fs';
import { issueText, type validateBundle } from '@claviger/authz';
import type { PolicyBundle } from '@claviger/contracts';
import type { Command } from 'commander';
import { CommandError, Finding } from '../exit-codes';
import type { Output } from '../output';
import { acknowledgementsIn } from '../policy-check/acknowledgements';
import { compiledOf, ineffectiveIn, NotCompiled, type Tested, testPolicies, type Widened, widenedSince } from '../policy-check/check';
import { readBundle, testFilesIn } from '../policy-check/folder-files';
import { junitXml } from '../policy-check/junit';
import { packText } from '../policy-check/pack-text';
import { checkedFolder } from '../policy-check/valid-folder';
import { offline } from '../run';
import { withClient } from '../session';

interface CheckOptions {
  against?: string;
  allowWidening?: string;
  requireTests?: boolean;
  junit?: string;
}

/** The gate before a publication: whether a folder is valid, does what its tests say, and allows more than what runs. */
export function policyCheckCommands(policy: Command): void {
  policy
    .command('check <folder>')
    .description('validate a folder without publishing it, run its tests, find policies without effect; exit 1 when something is wrong')
    .option(
      '--against <baseline>',
      'tell what widens access since another folder, since a file of `policy show --json`, or since what is in force: `running`',
    )
    .option('--allow-widening <file>', 'YAML with the widenings that are meant, each with its reason')
    .option('--require-tests', 'a policy that no test reaches is wrong too')
    .option('--junit <file>', 'outcomes of the tests as JUnit XML')
    .action(
      offline<CheckOptions, [string]>(async ({ options, settings, output }, folder) => {
        const bundle = checkedFolder(output, folder);
        const compiled = compiledOf(bundle, 'claviger.check', 'new');
        const tested = testPolicies(testFilesIn(folder), bundle, compiled);
        if (options.junit !== undefined) writeFileSync(options.junit, junitXml(tested.outcomes));
        const ineffective = ineffectiveIn(bundle, compiled);
        const reasons = options.allowWidening === undefined ? new Map<string, string>() : acknowledgements(options.allowWidening);
        const { against } = options;
        const older =
          against === 'running'
            ? (await withClient(settings, (client) => client.policy.show())).bundle
            : against === undefined
              ? undefined
              : readBundle(against, new Date());
        const widened = older && widenedSince(older, bundle, { older: baseline(older, against!), newer: compiled }, reasons);
        const problems = problemsOf(tested, ineffective, widened, options.requireTests === true);
        tell(output, bundle, { tested, ineffective, widened, problems });
        if (problems.length > 0) throw new Finding(problems.join('; '));
      }),
    );
}

type Ineffective = ReturnType<typeof ineffectiveIn>;
interface Checked {
  tested: Tested;
  ineffective: Ineffective;
  widened: Widened | undefined;
  problems: readonly string[];
}

/** What blocks a publication, counted. */
function problemsOf(
  { outcomes, issues, unreached }: Tested,
  ineffective: Ineffective,
  widened: Widened | undefined,
  requireTests: boolean,
): string[] {
  const counted = (n: number, what: string) => (n > 0 ? [`${n} ${what}`] : []);
  return [
    ...counted(outcomes.filter(({ failure }) => failure !== undefined).length, 'test(s) fail'),
    ...counted(issues.length, 'issue(s) in test files'),
    ...counted(ineffective.filter(({ certain }) => certain).length, 'policies without effect'),
    ...counted(widened?.widenings.open.length ?? 0, 'widening(s) that nobody acknowledged'),
    ...(requireTests ? counted(unreached.length, 'policies that no test reaches') : []),
  ];
}

function tell(output: Output, bundle: PolicyBundle, { tested, ineffective, widened, problems }: Checked): void {
  const failed = tested.outcomes.filter(({ failure }) => failure !== undefined);
  const counts = {
    ...{ principals: bundle.principals.length, roles: bundle.roles.length, grants: bundle.grants.length },
    ...{
      groups: bundle.groups?.length ?? 0,
      conflicts: bundle.conflicts?.length ?? 0,
      profiles: bundle.profiles?.length ?? 0,
      tokens: bundle.tokens?.length ?? 0,
    },
  };
  const { outcomes, issues, unreached } = tested;
  output.fields(
    {
      ...{
        valid: true,
        ok: problems.length === 0,
        problems,
        ...counts,
        tests: { run: outcomes.length, failed, issues, unreached },
        ineffective,
      },
      ...(widened ? { widened } : {}),
    },
    {
      ...{ valid: 'yes', ...counts, packs: bundle.packs?.map(packText).join(', ') || 'none' },
      tests: `${outcomes.length} run, ${failed.length} failed`,
      'policies without a test': unreached.join(', ') || 'none',
      ...(widened
        ? {
            'widens access': `${widened.widenings.open.length} time(s), ${widened.widenings.acknowledged.length} acknowledged; less is allowed in ${widened.narrowed} of ${widened.compared} situations`,
          }
        : {}),
    },
  );
  for (const { place, message } of issues) output.note(`TEST FILE ${place}: ${message}`);
  for (const { place, name, action, failure } of failed) output.note(`FAILED ${place}: ${name} (${action}): ${failure}`);
  for (const { policy, why, certain } of ineffective)
    output.note(`${certain ? 'WITHOUT EFFECT' : 'perhaps without effect'} ${policy}: ${why}`);
  for (const { id, example, situations } of widened?.widenings.open ?? [])
    output.note(
      `WIDENS ${id}${example === undefined ? '' : `\n  such as: ${example}${situations === undefined ? '' : ` (${situations} situation(s))`}`}`,
    );
  for (const { id, reason } of widened?.widenings.acknowledged ?? []) output.note(`acknowledged ${id}: ${reason}`);
  for (const id of widened?.widenings.stale ?? []) output.note(`acknowledged, and not found: ${id}`);
  for (const why of widened?.inexact ?? []) output.note(`compared by examples: ${why}`);
}

/** What runs may be from an earlier version. */
function baseline(older: PolicyBundle, name: string) {
  try {
    return compiledOf(older, 'claviger.baseline', 'in-force');
  } catch (error) {
    if (!(error instanceof NotCompiled)) throw error;
    throw new CommandError(
      'badInput',
      `${name} does not validate: ${(error.issues as ReturnType<typeof validateBundle>).map(issueText).join('; ')}`,
    );
  }
}

function acknowledgements(file: string): ReadonlyMap<string, string> {
  try {
    return acknowledgementsIn(readFileSync(file, 'utf8'));
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new CommandError('badInput', `--allow-widening: ${file} cannot be used (${reason})`, 'A list of {reason, widenings: [id, …]}.');
  }
}
