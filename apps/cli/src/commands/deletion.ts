import type { Client } from '@claviger/client';
import { DestructionCertificate, destructionCertificateType } from '@claviger/contracts';
import { importTrustedKeys, verifyRecord } from '@claviger/messaging';
import type { Command } from 'commander';
import { CommandError, Finding } from '../exit-codes';
import { readText, writePrivately } from '../files';
import { type KeyFilterOptions, keyFilterOf, withKeyFilter } from '../key-filter-options';
import { keysMeant } from '../key-pages';
import { isOrphan, withLastUse } from '../last-uses';
import { type Orphan, type OrphanOutcome, scheduleDeletions } from '../orphan-deletion';
import type { Output } from '../output';
import { timestamp, wholeNumber } from '../pairs';
import { offline, online } from '../run';
import { required, type Settings } from '../settings';
import { readTrust } from '../site-files';
import { tellChange } from './key-summary';

interface Reason {
  reason: string;
}

/** What must hold before a key is destroyed, which keys nobody needs, and what proves that one is gone. */
export function deletionCommands(keys: Command): void {
  const change = (usage: string, summary: string) =>
    keys.command(usage).description(summary).requiredOption('--reason <text>', 'goes into the ledger');
  change('protect <key>', 'no deletion of it can be scheduled until the protection is lifted').action(
    online<Reason, [string]>(async ({ client, options: { reason }, output }, keyId) =>
      tellChange(output, await client.keys.protect({ keyId, reason })),
    ),
  );
  change('unprotect <key>', 'lift the protection against deletion').action(
    online<Reason, [string]>(async ({ client, options: { reason }, output }, keyId) =>
      tellChange(output, await client.keys.unprotect({ keyId, reason })),
    ),
  );
  change('register-data <key> <name>', 'say that there is data which only this key opens: it is no orphan, and cannot be deleted')
    .option('--until <time>', 'RFC 3339, such as the end of its retention (default: until it is unregistered)')
    .action(
      online<Reason & { until?: string }, [string, string]>(async ({ client, options: { reason, until }, output }, keyId, data) =>
        tellChange(
          output,
          await client.keys.registerData({ keyId, data, reason, ...(until ? { until: timestamp('--until', until) } : {}) }),
        ),
      ),
    );
  change('unregister-data <key> <name>', 'that data is gone, or under another key').action(
    online<Reason, [string, string]>(async ({ client, options: { reason }, output }, keyId, data) =>
      tellChange(output, await client.keys.unregisterData({ keyId, data, reason })),
    ),
  );
  keys
    .command('certificate <key>')
    .description('the signed proof that it was destroyed; verified with trust.json where that is given')
    .option('--out <file>', 'keep it')
    .action(
      online<{ out?: string }, [string]>(async ({ client, options: { out }, settings, output }, keyId) => {
        const { certificate } = await client.keys.certificate({ keyId });
        if (certificate === undefined) throw new Finding(`there is no certificate of ${keyId}: ${await whyNot(client, keyId)}`);
        const said = settings.trustFile === undefined ? unverified(certificate) : verified(certificate, settings);
        if (out !== undefined) writePrivately(out, `${certificate}\n`);
        tell(output, said, { certificate, verified: settings.trustFile !== undefined, ...(out ? { file: out } : {}) });
      }),
    );
  keys
    .command('verify-certificate <file>')
    .description('without asking anybody: is this certificate of destruction signed by the control token in trust.json?')
    .action(
      offline<object, [string]>(async ({ settings, output }, file) => {
        const certificate = await readText(file);
        tell(output, verified(certificate, settings), { certificate, verified: true });
      }),
    );
  withKeyFilter(
    keys.command('orphans').description('keys that nobody has used and that are registered for no data; exit 1 when there are any'),
  )
    .option('--unused-days <n>', 'for so long', '180')
    .option('--schedule-deletion', 'schedule the deletion of each, as if by keys schedule-deletion')
    .option('--wait-days <n>', 'of --schedule-deletion: 7 to 90', '30')
    .option('--reason <text>', 'of --schedule-deletion: goes into the ledger')
    .action(
      online<KeyFilterOptions & Purge & { unusedDays: string }>(async ({ client, options, output }) => {
        const days = wholeNumber('--unused-days', options.unusedDays) as number;
        if (options.scheduleDeletion && !options.reason) throw new CommandError('usage', '--schedule-deletion wants a --reason');
        const orphans = await orphansOf(client, options, days, output);
        if (options.scheduleDeletion) return scheduleAll(client, orphans, options, output);
        tellOrphans(output, orphans);
        if (orphans.length > 0)
          throw new Finding(`${orphans.length} orphan(s): ask their owners, then claviger keys orphans --schedule-deletion`);
      }),
    );
}

interface Purge {
  scheduleDeletion?: boolean;
  waitDays: string;
  reason?: string;
}

async function orphansOf(client: Client, options: KeyFilterOptions, days: number, output: Output): Promise<Orphan[]> {
  const found: Orphan[] = [];
  const nowMs = Date.now();
  let looked = 0;
  for await (const one of withLastUse(client, keysMeant(client, keyFilterOf(options)))) {
    looked += 1;
    if (isOrphan(one.key, one.last, { days, nowMs })) found.push(one);
    output.progress(`${looked} keys looked at, ${found.length} orphans`);
  }
  output.progress(undefined);
  return found;
}

function tellOrphans(output: Output, orphans: readonly Orphan[], outcomes?: ReadonlyMap<Orphan, OrphanOutcome>): void {
  const shown = orphans.map((orphan) => {
    const { key, last } = orphan;
    return { keyId: key.keyId, name: key.name, owner: key.owner, team: key.team, lastUse: last.use, ...outcomes?.get(orphan) };
  });
  output.table(shown, orphans, [
    { title: 'KEY', value: ({ key }) => key.keyId },
    { title: 'NAME', value: ({ key }) => key.name },
    { title: 'OWNER', value: ({ key }) => key.owner },
    { title: 'TEAM', value: ({ key }) => key.team },
    { title: 'CONTACT', value: ({ key }) => key.contact },
    { title: 'LAST USE', value: ({ last }) => last.use?.at ?? 'never' },
    ...(outcomes ? [{ title: 'DELETION', value: (orphan: Orphan) => deletionText(outcomes.get(orphan)) }] : []),
  ]);
}

const deletionText = (outcome: OrphanOutcome | undefined): string =>
  outcome === undefined ? 'not known, or not asked for' : 'deletionAt' in outcome ? outcome.deletionAt : `refused: ${outcome.refused.code}`;

/** What is known of each is told whatever ends it. @throws Finding, ClavigerError */
async function scheduleAll(client: Client, orphans: readonly Orphan[], { reason, waitDays }: Purge, output: Output): Promise<void> {
  const outcomes = new Map<Orphan, OrphanOutcome>();
  const told = (orphan: Orphan, outcome: OrphanOutcome) => {
    const { name, keyId } = orphan.key;
    outcomes.set(orphan, outcome);
    output.note(
      'deletionAt' in outcome
        ? `${name} ${keyId} is destroyed at ${outcome.deletionAt}; until then claviger keys cancel-deletion keeps it`
        : `${name} ${keyId} stays: ${outcome.refused.code}: ${outcome.refused.detail}`,
    );
  };
  try {
    await scheduleDeletions(client, orphans, { reason: reason as string, waitDays: wholeNumber('--wait-days', waitDays) }, told);
  } finally {
    tellOrphans(output, orphans, outcomes);
  }
  const refused = [...outcomes.values()].filter((outcome) => 'refused' in outcome).length;
  if (refused > 0) throw new Finding(`${refused} of ${orphans.length} orphan(s) could not be scheduled`);
}

async function whyNot(client: Client, keyId: string): Promise<string> {
  const key = await client.keys.describe({ keyId });
  if (key.versions.every(({ state }) => state === 'destroyed'))
    return 'it is destroyed, but an object in a token is not known to be gone yet: ask again later';
  return key.deletionAt === undefined ? 'it is not destroyed' : `it is destroyed at ${key.deletionAt}`;
}

/** @throws Finding */
function verified(certificate: string, settings: Settings): DestructionCertificate {
  const trust = readTrust(required(settings, 'trustFile'));
  try {
    return DestructionCertificate.parse(verifyRecord(destructionCertificateType, certificate, importTrustedKeys(trust.control)));
  } catch (error) {
    throw new Finding(`this is no certificate of destruction by a control token of trust.json: ${(error as Error).message}`);
  }
}

const unverified = (certificate: string): DestructionCertificate =>
  DestructionCertificate.parse(JSON.parse(Buffer.from(certificate.split('.')[1] ?? '', 'base64url').toString()));

function tell(output: Output, said: DestructionCertificate, about: { certificate: string; verified: boolean; file?: string }): void {
  const { keyId, name, owner, order, destroyedAt, issuedAt, versions } = said;
  output.fields(
    { ...about, destroyed: said },
    {
      ...{ key: keyId, name, owner },
      'ordered by': order && `${order.by} at ${order.at}: ${order.reason}`,
      'destroyed at': destroyedAt,
      'gone from every token at': issuedAt,
      'may still be in backups': stillIn(said),
      versions: versions.length,
      signature: about.verified ? 'verified with trust.json' : 'not verified: name trust.json with --trust-file',
      file: about.file,
    },
  );
}

/** Undefined of a certificate from before it was said. */
function stillIn({ backups }: DestructionCertificate): string | undefined {
  if (!backups) return undefined;
  const { last, restoredFrom } = backups;
  const here = last === 'none' ? 'none that can be read' : `until ${last.readableUntil}, the last one is ${last.backupId}`;
  return restoredFrom === undefined ? here : `${here}; and those of the site that ${restoredFrom} is of`;
}
