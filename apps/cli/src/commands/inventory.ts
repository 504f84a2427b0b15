import { randomUUID } from 'node:crypto';
import { ClavigerError, type Client } from '@claviger/client';
import {
  type KekDescription,
  KekId,
  type KeyDescription,
  KeyRef,
  type LastUseOfKey,
  type PolicyBundle,
  type TokenDescription,
} from '@claviger/contracts';
import type { Command } from 'commander';
import { cbomDocument } from '../cbom-document';
import { CommandError, Finding } from '../exit-codes';
import { toStandardOutput, writeWhole } from '../files';
import { findingsOf, type InventoryCheck, type InventoryFinding, inventoryChecks, type Known, unusedFinding } from '../inventory-findings';
import { type KeyFilterOptions, keyFilterOf, withKeyFilter } from '../key-filter-options';
import { addImpact, type Impact, noImpact } from '../key-impact';
import { gathered, keysMeant } from '../key-pages';
import { linesOf, treeOf } from '../key-tree';
import { isUnusedSince, withLastUse } from '../last-uses';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { online } from '../run';
import { dayMs } from '../thresholds';

type Asked = Partial<
  Record<'weak' | 'deprecated' | 'unowned' | 'nonCompliant' | 'certificationOverdue' | 'suspended' | 'unused' | 'cbom', boolean>
>;

/** What keys there are, what is wrong with them, and what depends on them. */
export function inventoryCommands(keys: Command): void {
  keys
    .command('inventory')
    .description('what is wrong with the keys that you may describe; exit 1 when something is found')
    .option('--weak', 'less than 128 bits of strength, or past the last day on which NIST lets it protect')
    .option('--deprecated', 'NIST has set a last day')
    .option('--unowned', 'its owner is no principal of the policies in force or is disabled, or no team answers for it')
    .option('--non-compliant', 'less than the profiles of its environment and classification ask for')
    .option('--certification-overdue', 'its owner has not certified it for as long as its profile allows')
    .option('--suspended', 'frozen, and nothing decided yet')
    .option('--unused', 'nobody has used it, by the ledger; asked for each key, so it takes a while')
    .option('--unused-days <n>', 'for so long', '90')
    .option('--cbom', 'no findings: all keys as a CycloneDX 1.6 document')
    .option('--out <file>', 'of --cbom; written for your eyes only')
    .action(
      online<Asked & { unusedDays: string; out?: string }>(async ({ client, options, output }) => {
        const { cbom, out, unusedDays, ...asked } = options;
        const checks = checksOf(asked);
        if (cbom && checks.length > 0) throw new CommandError('usage', '--cbom writes all keys: give it no check');
        if (out !== undefined && !cbom) throw new CommandError('usage', '--out is for --cbom');
        if (cbom) return writeCbom(client, out, output);
        await tellFindings(client, checks, wholeNumber('--unused-days', unusedDays) as number, output);
      }),
    );
  withKeyFilter(keys.command('tree').description('root of the token → KEKs → keys → versions, as far as you may describe them')).action(
    online<KeyFilterOptions>(async ({ client, options, output }) => {
      const tree = treeOf(await listKeks(client, output), await gathered(keysMeant(client, keyFilterOf(options))));
      output.lines(tree, linesOf(tree));
    }),
  );
  keys
    .command('impact <key-or-kek>')
    .description('what is unreadable if it is lost and open to others if it is known, for whom; which versions are compromised already')
    .action(online<object, [string]>(async ({ client, output }, id) => tellImpact(id, await impactOf(client, id), output)));
}

function checksOf(asked: Omit<Asked, 'cbom'>): InventoryCheck[] {
  const named: Record<keyof typeof asked, InventoryCheck> = {
    ...{
      weak: 'weak',
      deprecated: 'deprecated',
      unowned: 'unowned',
      nonCompliant: 'non-compliant',
      certificationOverdue: 'certification-overdue',
      suspended: 'suspended',
    },
    unused: 'unused',
  };
  return Object.entries(named).flatMap(([option, check]) => (asked[option as keyof typeof asked] ? [check] : []));
}

async function tellFindings(client: Client, asked: InventoryCheck[], unusedDays: number, output: Output): Promise<void> {
  const wanted = asked.length > 0 ? asked : inventoryChecks;
  const checks = inventoryChecks.filter((check) => wanted.includes(check));
  const nowMs = Date.now();
  const known: Known = { nowMs, ...(await inForce(client, checks, asked, output)) };
  const found: InventoryFinding[] = [];
  let looked = 0;
  // Without a filter, which an index that somebody changed could leave incomplete.
  const all = keysMeant(client);
  for await (const { key, last } of wanted.includes('unused') ? withLastUse(client, all) : alone(all)) {
    looked += 1;
    found.push(...findingsOf(key, checks, known));
    if (last && isUnusedSince(key, last, nowMs - unusedDays * dayMs)) found.push(unusedFinding(key, unusedDays));
    output.progress(`${looked} keys looked at, ${found.length} findings`);
  }
  output.progress(undefined);
  output.table(found, found, [
    { title: 'CHECK', value: ({ check }) => check },
    { title: 'KEY', value: ({ keyId }) => keyId },
    { title: 'NAME', value: ({ name }) => name },
    { title: 'WHY', value: ({ why }) => why },
    { title: 'NEXT', value: ({ next }) => next },
  ]);
  if (found.length > 0) throw new Finding(`${found.length} finding(s) of ${new Set(found.map(({ keyId }) => keyId)).size} key(s)`);
}

/** Not asked for in so many words, it is left out where the caller may not read policies; and that is said. */
async function inForce(
  client: Client,
  checks: readonly InventoryCheck[],
  asked: readonly InventoryCheck[],
  output: Output,
): Promise<Pick<Known, 'principals' | 'profiles' | 'tokens'>> {
  const fromPolicies = (wanted: readonly InventoryCheck[]) =>
    wanted.some((check) => check === 'unowned' || check === 'non-compliant' || check === 'certification-overdue');
  if (!fromPolicies(checks)) return {};
  try {
    const { bundle } = await client.policy.show();
    return {
      ...{ principals: new Map(bundle.principals.map(({ id, disabled }) => [id, { disabled }])), profiles: bundle.profiles ?? [] },
      ...(checks.includes('non-compliant') ? await knownTokens(client, bundle, output) : {}),
    };
  } catch (error) {
    if (fromPolicies(asked) || !isDenied(error)) throw error;
    output.note('whether owners are principals and keys below their floor was not looked at: you may not read policies');
    return {};
  }
}

/** Asked where a profile asks for a level of them. */
async function knownTokens(
  client: Client,
  { profiles = [], tokens: records = [] }: PolicyBundle,
  output: Output,
): Promise<Pick<Known, 'tokens'>> {
  if (profiles.every(({ moduleLevel }) => moduleLevel === undefined)) return {};
  const unseen = (why: string) => {
    output.note(`whether keys are in tokens whose validation is good enough was not looked at: ${why}`);
    return {};
  };
  try {
    const { tokens, seenAt } = await client.keys.listTokens({});
    if (seenAt === undefined) return unseen('no worker says which tokens there are');
    return { tokens: { records, roots: tokens.flatMap(({ root, label }) => (root ? [label] : [])) } };
  } catch (error) {
    if (!isDenied(error)) throw error;
    return unseen('you may not list tokens');
  }
}

async function* alone(keys: AsyncIterable<KeyDescription>): AsyncGenerator<{ key: KeyDescription; last?: LastUseOfKey }> {
  for await (const key of keys) yield { key };
}

async function writeCbom(client: Client, out: string | undefined, output: Output): Promise<void> {
  const keks = (await listKeks(client, output)) ?? [];
  const document = cbomDocument(
    { keks, tokens: await listTokens(client, output), keys: keysMeant(client) },
    { timestamp: new Date().toISOString(), uuid: randomUUID() },
  );
  if (out === undefined) await toStandardOutput(document);
  else await writeWhole(out, document);
}

/** None, and said, where policy does not let the caller list them. */
async function listTokens(client: Client, output: Output): Promise<TokenDescription[]> {
  try {
    return (await client.keys.listTokens({})).tokens;
  } catch (error) {
    if (!isDenied(error)) throw error;
    output.note('the certification of tokens is left out: you may not list them');
    return [];
  }
}

/** Undefined, and said, where policy does not let the caller list them. */
async function listKeks(client: Client, output: Output): Promise<KekDescription[] | undefined> {
  try {
    return (await client.keys.listKeks()).keks;
  } catch (error) {
    if (!isDenied(error)) throw error;
    output.note('key-encryption keys are left out: you may not list them');
    return undefined;
  }
}

const isDenied = (error: unknown): boolean => error instanceof ClavigerError && error.code === 'ERR_ACCESS_DENIED';

async function impactOf(client: Client, id: string): Promise<Impact> {
  const impact = noImpact();
  if (KeyRef.safeParse(id).success) addImpact(impact, await client.keys.describe({ keyId: id }));
  else if (KekId.safeParse(id).success) for await (const key of keysMeant(client, { kek: id })) addImpact(impact, key, id);
  else throw new CommandError('usage', `${id} is neither a key (k_…, alias/…) nor a key-encryption key (kek_…)`);
  return impact;
}

function tellImpact(id: string, impact: Impact, output: Output): void {
  const { keys, versions, byState, consumers, ifLost, ifCompromised, compromised } = impact;
  const users = Object.keys(consumers).sort();
  output.fields(
    { id, ...impact },
    {
      of: id,
      'keys that you may describe': keys,
      versions: `${versions}${versions > 0 ? ` (${countsOf(byState)})` : ''}`,
      consumers: users.length > 0 ? `${users.length}: ${users.join(', ')}` : 'none',
      'if it is lost': countsOf({
        'unreadable for good': ifLost.unreadable,
        'sign no more': ifLost.noMoreSignatures,
        'MACs verify no more': ifLost.unverifiable,
        'agree on no more secrets': ifLost.noMoreSharedSecrets,
      }),
      'if others know it': countsOf({ 'readable for them': ifCompromised.readable, 'forgeable by them': ifCompromised.forgeable }),
      'compromised now': compromised.length,
    },
  );
  for (const { keyId, name, version, at, consumers: who, mustDo, replacedBy } of compromised)
    output.note(
      `COMPROMISED ${name} ${keyId} version ${version}${at ? ` since ${at}` : ''}: ${who.join(', ') || 'its owner'} must ${mustDo}${
        replacedBy === undefined ? `; first claviger keys rotate ${keyId} --reason …` : `, with version ${replacedBy}`
      }`,
    );
}

const countsOf = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .flatMap(([what, count]) => (count > 0 ? [`${count} ${what}`] : []))
    .join(', ') || 'nothing';
