import { readFileSync, writeFileSync } from 'node:fs';
import { issueText, type validateBundle } from '@claviger/authz';
import type { PolicyBundle } from '@claviger/contracts';
import type { Command } from 'commander';
import { committedSites } from '../cloud/committed-sites';
import { CommandError, Finding } from '../exit-codes';
import type { Output } from '../output';
import { acknowledgementsIn } from '../policy-check/acknowledgements';
import { compiledOf, ineffectiveIn, NotCompiled, testPolicies, widenedSince } from '../policy-check/check';
import { readBundle, testFilesIn } from '../policy-check/folder-files';
import { junitXml } from '../policy-check/junit';
import { packText } from '../policy-check/pack-text';
import { type CheckFindings, problemsOf } from '../policy-check/problems';
import { checkedFolder } from '../policy-check/valid-folder';
import { offline } from '../run';
import type { Told } from '../sarif/log';
import { checkTold, invalidTold } from '../sarif/of-check';
import { placesOf, writeSarif } from '../sarif/write';
import { withClient } from '../session';

interface CheckOptions {
  against?: string;
  allowWidening?: string;
  requireTests?: boolean;
  junit?: string;
  sarif?: string;
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
    .option('--sarif <file>', 'what is found as SARIF 2.1.0, which code hosts show beside the lines')
    .action(
      offline<CheckOptions, [string]>(async ({ options, settings, output }, folder) => {
        const sarif = (told: () => Told[]) => options.sarif !== undefined && writeSarif(options.sarif, 'policy check', told());
        const bundle = checkedFolder(output, folder, (issues) => sarif(() => invalidTold(issues, placesOf(folder))));
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
        const { problems: cloudFiles } = await committedSites(folder);
        const found: CheckFindings = { tested, ineffective, widened, cloudFiles, requireTests: options.requireTests === true };
        const problems = problemsOf(found);
        sarif(() => checkTold({ ...found, allowWidening: options.allowWidening }, placesOf(folder)));
        tell(output, bundle, found, problems);
        if (problems.length > 0) throw new Finding(problems.join('; '));
      }),
    );
}

function tell(output: Output, bundle: PolicyBundle, found: CheckFindings, problems: readonly string[]): void {
  const { tested, ineffective, widened, cloudFiles } = found;
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
        cloudFiles,
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
  for (const { file, why } of cloudFiles) output.note(`CLOUD FILE ${file}: ${why}`);
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
