import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { issueText, parsePolicies, validateBundle } from '@claviger/authz';
import { PackId, PackInForce, PolicyBundle, policyFolder, type ScopeTag } from '@claviger/contracts';
import type { Command } from 'commander';
import { type PolicyParts, withoutPack, withPack } from '../compliance/pack-blocks';
import { sourceText } from '../compliance/source-text';
import { CommandError, Finding } from '../exit-codes';
import type { Output } from '../output';
import { type PackFiles, packOf, packsFolder, readPacks } from '../pack-files';
import { readPolicyFolder } from '../policy-folder';
import { offline } from '../run';

type Options = { packs: string };

/** Regulation packs: look at them, put them into a policy folder, take them out again. All offline. */
export function packsCommands(policy: Command): void {
  const packs = policy.command('packs').description('regulations as policies, profiles and controls, to put into a policy folder');
  const command = (name: string) => packs.command(name).option('--packs <folder>', 'where the packs are', packsFolder);
  command('list')
    .description('the packs that there are')
    .action(
      offline<Options>(({ options, output }) => {
        const all = readPacks(options.packs);
        output.table(
          all.map(({ pack: { controls, ...pack } }) => ({ ...pack, controls: controls.length })),
          all,
          [
            { title: 'PACK', value: ({ pack }) => pack.id },
            { title: 'VERSION', value: ({ pack }) => pack.version },
            { title: 'CONTROLS', value: ({ pack }) => pack.controls.length },
            { title: 'POLICIES', value: (files) => policiesIn(files).length },
            { title: 'TITLE', value: ({ pack }) => pack.title },
          ],
        );
      }),
    );
  command('show <pack>')
    .description('its controls, what is looked at for each, and what it leaves out')
    .action(offline<Options, [string]>(({ options, output }, id) => show(packOf(readPacks(options.packs), id), output)));
  command('add <pack> <folder>')
    .description('put it into a policy folder, or renew it there; nothing is written when the whole would not validate')
    .option('--tag <name[=value]>', 'only keys with this tag are what the regulation means here')
    .action(
      offline<Options & { tag?: string }, [string, string]>(({ options, output }, id, folder) => {
        const files = packOf(readPacks(options.packs), id);
        const after = edited(folder, () => withPack(partsOf(folder), files.pack, files.policies, tagOf(options.tag)));
        put(folder, after, output);
        const tests = join(folder, testsName(id));
        if (files.tests === undefined) rmSync(tests, { force: true });
        else writeFileSync(tests, files.tests);
        tell(output, folder, after);
      }),
    );
  command('remove <pack> <folder>')
    .description('take its policies, profiles and tests out of a policy folder')
    .action(
      offline<Options, [string, string]>(({ options, output }, id, folder) => {
        if (!PackId.safeParse(id).success) throw new CommandError('usage', `${id} is no id of a pack`);
        const before = partsOf(folder);
        if (!before.packs.some((pack) => pack.id === id))
          throw new CommandError('badInput', `${folder}: the pack ${id} is not in ${policyFolder.optional.packs}`);
        const { pack } = packOf(readPacks(options.packs), id);
        const after = edited(folder, () => withoutPack(before, pack));
        put(folder, after, output);
        rmSync(join(folder, testsName(id)), { force: true });
        tell(output, folder, after);
      }),
    );
}

const testsName = (id: string) => `pack-${id}.cedar-test.yaml`;

/** @throws CommandError where the text of the folder is not what these commands wrote */
function edited(folder: string, edit: () => PolicyParts): PolicyParts {
  try {
    return edit();
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError('badInput', `${join(folder, policyFolder.policies)}: ${(error as Error).message}`);
  }
}

const policiesIn = ({ policies }: PackFiles) => {
  const read = parsePolicies(policies);
  return read.ok ? read.policies : [];
};

function show({ pack, ...files }: PackFiles, output: Output): void {
  const policies = policiesIn({ pack, ...files });
  const lines = [
    `${pack.id} ${pack.version}: ${pack.title}`,
    ...pack.sources.map((source) => `source: ${sourceText(source)}`),
    '',
    pack.summary,
    `Not in it: ${pack.leftOut}`,
    '',
    ...policies.map(({ id, effect, summary, controls }) => `policy ${id} (${effect}; ${controls.join(', ')}): ${summary ?? ''}`),
    ...pack.profiles.map(({ id, description }) => `profile ${id}: ${description}`),
    ...pack.controls.flatMap(({ id, title, requirement, checks, manual, ownerRole, severity }) => [
      '',
      `${id}  ${title}  (${severity}; ${ownerRole})`,
      `  ${requirement}`,
      ...(checks.length > 0 ? [`  looked at: ${checks.map(({ check }) => check).join(', ')}`] : []),
      ...(manual === undefined ? [] : [`  a person supplies: ${manual}`]),
    ]),
  ];
  output.lines({ ...pack, policies: policies.map(({ id, effect, summary, controls }) => ({ id, effect, summary, controls })) }, lines);
}

function partsOf(folder: string): PolicyParts {
  const { policies, profiles = [], packs = [] } = readPolicyFolder(folder, new Date()) as Record<string, unknown>;
  const known = PackInForce.array().safeParse(packs);
  if (!known.success || !Array.isArray(profiles))
    throw new CommandError(
      'badInput',
      `${folder}: ${policyFolder.optional.packs} or ${policyFolder.optional.profiles} is not a list as it must be`,
    );
  return { policies: policies as string, profiles: profiles as PolicyParts['profiles'], packs: known.data };
}

/** @throws Finding after the issues were printed, with nothing written */
function put(folder: string, { policies, profiles, packs }: PolicyParts, output: Output): void {
  const before = readPolicyFolder(folder, new Date());
  const { profiles: _, packs: __, ...rest } = before;
  const candidate = {
    ...rest,
    policies,
    ...(profiles.length > 0 ? { profiles } : {}),
    ...(packs.length > 0 ? { packs } : {}),
  };
  const issues = validateBundle(candidate);
  if (issues.length > 0) {
    output.table({ valid: false, issues }, issues, [{ title: `${folder} WOULD NOT VALIDATE, and is as it was`, value: issueText }]);
    throw new Finding(`${issues.length} issue(s)`);
  }
  PolicyBundle.parse(candidate);
  const pretty = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const write = (name: string, list: readonly unknown[]) =>
    list.length > 0 ? writeChanged(join(folder, name), pretty(list)) : rmSync(join(folder, name), { force: true });
  writeChanged(join(folder, policyFolder.policies), policies);
  write(policyFolder.optional.profiles, profiles);
  write(policyFolder.optional.packs, packs);
}

/** What is the same stays as it is, with the time of its last change. */
function writeChanged(file: string, text: string): void {
  try {
    if (readFileSync(file, 'utf8') === text) return;
  } catch {
    // It is not there yet.
  }
  writeFileSync(file, text);
}

function tell(output: Output, folder: string, { packs }: PolicyParts): void {
  const next = `claviger policy check ${folder}, then policy publish ${folder} --reason …`;
  output.fields({ folder, packs, next }, { folder, packs: packs.map(({ id, version }) => `${id} ${version}`).join(', ') || 'none', next });
}

/** @throws CommandError */
export function tagOf(text: string | undefined): ScopeTag | undefined {
  if (text === undefined) return undefined;
  const at = text.indexOf('=');
  const name = at === -1 ? text : text.slice(0, at);
  if (name === '') throw new CommandError('usage', '--tag wants name or name=value');
  return { name, ...(at === -1 ? {} : { value: text.slice(at + 1) }) };
}
