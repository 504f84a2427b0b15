import { readFileSync } from 'node:fs';
import type { PolicyBundle } from '@claviger/contracts';
import type { Command } from 'commander';
import { type CloudOptions, lookAtClouds, targetsIn, writeClouds } from '../cloud/look';
import type { CloudDrift } from '../cloud/site-drift';
import { CommandError, Finding } from '../exit-codes';
import type { Output } from '../output';
import { type Drift, driftOf } from '../policy-check/drift';
import { readBundle } from '../policy-check/folder-files';
import { collect, offline } from '../run';
import { driftTold } from '../sarif/of-drift';
import { placesOf, writeSarif } from '../sarif/write';
import { withClient } from '../session';
import { readSettings, type Settings } from '../settings';

interface DriftOptions extends CloudOptions {
  environment?: string[];
  running?: string;
  onlyCloud?: boolean;
  write?: boolean;
  sarif?: string;
}
type Found = (Drift & { environment: string }) | CloudDrift;

/** What runs, in one environment or several and in connected cloud KMSs, against what is committed. */
export function driftCommand(policy: Command): void {
  policy
    .command('drift <folder>')
    .description(
      'compare what runs with a committed folder: policies, principals, roles, groups, grants, profiles; key policies, grants and settings of keys in a cloud KMS; exit 1 when it differs, or could not be looked at',
    )
    .option(
      '--environment <name=file>',
      'an environment and a file with its settings, CLAVIGER_URL=… a line; may be repeated (default: your settings)',
      collect,
    )
    .option('--running <file>', 'what runs, as `claviger --json policy show` wrote it, without asking a server')
    .option(
      '--aws-kms <[profile@]region>',
      'AWS KMS of a region too, by the credentials that the AWS SDK finds or by a profile of its files; may be repeated',
      collect,
    )
    .option('--only-cloud', 'compare cloud KMSs only, and ask no Claviger')
    .option(
      '--without <site>',
      'a connected cloud KMS that is not to be looked at, such as aws-kms/111122223333/eu-central-1; may be repeated',
      collect,
    )
    .option(
      '--write',
      'with --aws-kms: compare nothing; write what governs the keys there into the folder, for people to review and commit',
    )
    .option('--sarif <file>', 'what is found as SARIF 2.1.0, which code hosts show beside the lines')
    .action(
      offline<DriftOptions, [string]>(async ({ options, settings, output }, folder) => {
        if (options.write) return write(folder, options, output);
        if (options.onlyCloud && (options.environment ?? options.running) !== undefined)
          throw new CommandError('usage', '--only-cloud asks no Claviger: it goes with neither --environment nor --running');
        // What is written wrong is told before anybody is asked.
        targetsIn(options.awsKms ?? []);
        const ofBundles = options.onlyCloud ? [] : await bundleDrift(folder, options, settings);
        const clouds = await lookAtClouds(folder, options, output);
        const found: Found[] = [...ofBundles, ...clouds.drift];
        const { unseen, notAsked, left } = clouds;
        if (options.sarif !== undefined)
          writeSarif(options.sarif, 'policy drift', driftTold(folder, { ofBundles, ...clouds }, placesOf(folder)));
        output.table({ drift: found, unseen, notAsked }, found, [
          { title: 'ENVIRONMENT', value: ({ environment }) => environment },
          { title: 'PART', value: ({ part }) => part },
          { title: 'WHICH', value: ({ id }) => id },
          { title: 'HOW', value: howText },
        ]);
        for (const { place, why } of unseen) output.note(`NOT looked at: ${place} (${why})`);
        for (const site of notAsked) output.note(`NOT looked at: ${site} (connected, and not asked for: --aws-kms, or --without)`);
        for (const site of left) output.note(`left out, as you say: ${site}`);
        const findings = [
          ...(found.length > 0 ? [`${found.length} difference(s) between what runs and ${folder}`] : []),
          ...(unseen.length + notAsked.length > 0 ? [`${unseen.length + notAsked.length} place(s) that were not looked at`] : []),
        ];
        if (findings.length > 0) throw new Finding(findings.join(', and '));
      }),
    );
}

const howText = (one: Found): string =>
  'what' in one ? `${one.how}: ${one.what}` : one.fields ? `${one.how}: ${one.fields.join(', ')}` : one.how;

async function bundleDrift(folder: string, options: DriftOptions, settings: Settings): Promise<(Drift & { environment: string })[]> {
  const committed = readBundle(folder, new Date());
  const compare = (environment: string, running: PolicyBundle) => driftOf(running, committed).map((drift) => ({ environment, ...drift }));
  const show = (from: Settings) => withClient(from, async (client) => (await client.policy.show()).bundle);
  if (options.running !== undefined) return compare(options.running, readBundle(options.running, new Date()));
  if (options.environment === undefined) return compare('running', await show(settings));
  const found: (Drift & { environment: string })[] = [];
  for (const given of options.environment) {
    const [name, file] = nameAndFile(given);
    found.push(...compare(name, await show(settingsIn(file))));
  }
  return found;
}

async function write(folder: string, options: DriftOptions, output: Output): Promise<void> {
  if (options.awsKms === undefined) throw new CommandError('usage', '--write writes what --aws-kms names');
  if ((options.environment ?? options.running ?? options.without ?? options.sarif) !== undefined)
    throw new CommandError(
      'usage',
      '--write compares nothing: it goes with --aws-kms only',
      '`claviger policy export` writes what runs in Claviger.',
    );
  const { written, unseen } = await writeClouds(folder, options, output);
  output.table({ written, unseen }, written, [
    { title: 'SITE', value: ({ site }) => site },
    { title: 'KEYS', value: ({ keys }) => keys },
    { title: 'FILE', value: ({ file }) => file },
  ]);
  for (const { place, why } of unseen) output.note(`NOT looked at: ${place} (${why})`);
  if (unseen.length > 0) throw new Finding(`of a site that is not seen whole nothing is written: ${unseen.length} thing(s) were not shown`);
}

function nameAndFile(given: string): [string, string] {
  const at = given.indexOf('=');
  if (at < 1) throw new CommandError('usage', '--environment wants NAME=FILE');
  return [given.slice(0, at), given.slice(at + 1)];
}

/** Only what the file says: settings of one environment must not reach another. */
function settingsIn(file: string): Settings {
  try {
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line) => /^\s*(?:export\s+)?(CLAVIGER_[A-Z_]+)=(.*)$/.exec(line)?.slice(1, 3) ?? []);
    const pairs = Array.from(
      { length: lines.length / 2 },
      (_, n) => [lines[2 * n]!, lines[2 * n + 1]!.trim().replace(/^(["'])(.*)\1$/, '$2')] as const,
    );
    return readSettings({}, Object.fromEntries(pairs));
  } catch (error) {
    throw new CommandError('configuration', `${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
}
