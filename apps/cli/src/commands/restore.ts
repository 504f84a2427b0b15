import { copyFileSync, mkdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { linesOf, verifyBackup } from '@claviger/backup';
import type { Client } from '@claviger/client';
import { RecoveryGroup, type RestoreDescription } from '@claviger/contracts';
import { layout } from '@claviger/installation';
import { importTrustedKeys } from '@claviger/messaging';
import type { Command } from 'commander';
import { checkpointIn } from '../checkpoint-memory';
import { recoverEpochKey } from '../epoch-key';
import { CommandError, Finding } from '../exit-codes';
import { readText } from '../files';
import type { Output } from '../output';
import { collect, offline } from '../run';
import { withClient } from '../session';
import { readShares, typedShares } from '../share-collection';
import { damaged, readJson, readTrust } from '../site-files';

interface RestoreOptions extends Record<'backup' | 'escrow' | 'group' | 'siteTrust' | 'folder' | 'library' | 'reason', string> {
  share?: string[];
  backupFolder?: string;
  checkpoint?: string;
  tombstones?: string;
}
const pollMs = 500;

/** A backup into an empty site with other tokens. The shares are used on this machine, in its customer token, and go nowhere. */
export function restoreCommand(program: Command): void {
  program
    .command('restore')
    .description(
      'a backup into an empty site that runs; on the machine with its tokens; again where it was interrupted. Exit 1 when a key is not proven',
    )
    .requiredOption('--backup <file>')
    .requiredOption('--escrow <file>', 'of the backup’s epoch')
    .requiredOption('--group <file>', 'recovery-group.json of the site that the backup is of')
    .requiredOption('--site-trust <file>', 'trust.json of that site')
    .option('--share <file>', 'of a custodian, or FILE=PRIVATE_KEY_FILE for an encrypted one; default: they are typed in', collect)
    .requiredOption('--folder <folder>', 'where the installation of this site lies')
    .requiredOption('--library <file>', 'PKCS#11 library of its customer token')
    .option('--backup-folder <folder>', 'BACKUP_FOLDER of key-lifecycle, to copy the files there; default: they lie there')
    .option(
      '--checkpoint <file>',
      'of that site’s ledger, newer than the backup, as a witness has it; without it and --tombstones every key comes up suspended',
    )
    .option('--tombstones <file>', 'what claviger backup tombstones wrote at that site, no earlier than the checkpoint')
    .requiredOption('--reason <text>')
    .action(
      offline<RestoreOptions>(async ({ options, settings, output }) => {
        if ((options.checkpoint === undefined) !== (options.tombstones === undefined))
          throw new CommandError('usage', 'Give --checkpoint and --tombstones together');
        const trust = readTrust(options.siteTrust);
        const group = readJson(options.group, RecoveryGroup, 'a recovery group');
        output.note('verifying every line of the backup');
        const { header, manifest } = await damaged(() => verifyBackup(linesOf(resolve(options.backup)), importTrustedKeys(trust.control)));
        const recovery = { header, trust, group, escrow: await readText(options.escrow) };
        const place = layout(resolve(options.folder));
        const epochKey = await recoverEpochKey({ place, libraryPath: resolve(options.library) }, recovery, () =>
          options.share ? readShares(group, options.share) : typedShares(group),
        );
        output.note(`the key of epoch ${header.epoch} is under this site's root`);
        copyInto(options.backupFolder, [options.backup, options.tombstones]);
        await withClient(settings, async (client) => {
          await client.backup.restore({
            ...{ reason: options.reason, file: basename(options.backup), trust: JSON.stringify(trust), epochKey },
            ...evidenceOf(options),
          });
          tell(output, await finished(client, output), manifest.counts.inToken);
        });
      }),
    );
}

function copyInto(folder: string | undefined, files: (string | undefined)[]): void {
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const file of files) if (file !== undefined) copyFileSync(file, join(folder, basename(file)));
}

const evidenceOf = ({ checkpoint, tombstones }: RestoreOptions) =>
  checkpoint !== undefined && tombstones !== undefined
    ? { evidence: { checkpoint: checkpointIn(checkpoint), tombstones: basename(tombstones) } }
    : {};

async function finished(client: Client, output: Output): Promise<RestoreDescription> {
  for (;;) {
    const { restore } = await client.backup.restoreStatus();
    if (restore && restore.state !== 'running') {
      output.progress(undefined);
      return restore;
    }
    if (restore) output.progress(`restored ${restore.progress.keys} of ${restore.progress.of} keys`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function tell(output: Output, restore: RestoreDescription, inToken: number): void {
  const { restored, proof, failure, progress } = restore;
  output.fields(restore, {
    backup: restore.backupId,
    state: restore.state,
    keys: `${progress.keys} of ${progress.of}`,
    usable: restored?.usable,
    suspended: restored?.suspended,
    destroyed: restored?.destroyed,
    'rotated, since nobody knows how often they encrypted': restored?.rotated,
    aliases: restored?.aliases,
    'aliases left out, since their key is not here': restored?.aliasesLeftOut || undefined,
    proven: proof && `${proof.proven} versions, ${proof.failures} not`,
    'not in the backup': inToken > 0 ? `${inToken} versions, whose material is in tokens of the other site` : undefined,
    'newest change that is certainly in it':
      restore.recoveryPointSeconds === undefined ? undefined : `${restore.recoveryPointSeconds} s before`,
    failure: failure && `${failure.code} ${failure.detail}`,
  });
  for (const { keyId, version, detail } of proof?.failed ?? []) output.note(`NOT PROVEN ${keyId}#${version}: ${detail}`);
  if (restore.state === 'failed')
    throw new CommandError('failed', `The restore stopped: ${failure?.detail}`, 'Mend that, then give the same command again.');
  if (proof && !proof.ok) throw new Finding('Not every key is proven');
}
