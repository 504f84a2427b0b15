import { resolve } from 'node:path';
import { linesOf, verifyBackup } from '@claviger/backup';
import type { Client } from '@claviger/client';
import type { BackupDescription } from '@claviger/contracts';
import { importTrustedKeys } from '@claviger/messaging';
import type { Command } from 'commander';
import { type Following, followBackup } from '../backup-progress';
import { CommandError, Finding } from '../exit-codes';
import { writeBytes } from '../files';
import type { Output } from '../output';
import { wholeNumber } from '../pairs';
import { offline, online } from '../run';
import { required } from '../settings';
import { damaged, readTrust } from '../site-files';

/** Backups of all keys: made and looked at by key-lifecycle, in the token; nothing of their content comes here. */
export function backupCommands(program: Command): void {
  const backup = program.command('backup').description('backups of every key, the policies and the ledger’s checkpoint');
  backup
    .command('create')
    .description('make one, and wait until every key in it is proven; exit 1 when one is not')
    .requiredOption('--reason <text>')
    .option('--no-wait', 'say only that it is begun')
    .action(
      online<{ reason: string; wait: boolean }>(async ({ client, options: { reason, wait }, output }) => {
        const { backupId } = await client.backup.create({ reason });
        if (!wait) return output.text({ backupId }, backupId);
        // It is verified by itself once it is made.
        const isDone = ({ state, verified }: BackupDescription) => state === 'failed' || verified !== undefined;
        show(output, await following(client, output, { backupId, isUnderWay: false, isDone }));
      }),
    );
  backup
    .command('list')
    .description('newest first, with until when each can be read')
    .option('--limit <n>', 'at most this many', '50')
    .action(
      online<{ limit: string }>(async ({ client, options, output }) => {
        const { backups } = await client.backup.list({ limit: wholeNumber('--limit', options.limit) ?? 50 });
        output.table(backups, backups, [
          { title: 'BACKUP', value: ({ backupId }) => backupId },
          { title: 'STATE', value: stateOf },
          { title: 'MADE', value: ({ createdAt }) => createdAt },
          { title: 'KEYS', value: ({ counts }) => counts?.keys },
          { title: 'PROVEN', value: ({ verified }) => verified && (verified.ok ? `all ${verified.proven}` : 'NOT') },
          { title: 'VERIFIED', value: ({ verified }) => verified?.at },
          { title: 'READABLE UNTIL', value: ({ readableUntil }) => readableUntil },
        ]);
      }),
    );
  backup
    .command('describe <backup>')
    .description('what is in it, what is not, and what the last look at it found')
    .action(
      online<object, [string]>(async ({ client, output }, backupId) => show(output, await client.backup.describe({ backupId }), false)),
    );
  backup
    .command('verify <backup>')
    .description('prove every key in it in the token, and wait for that; exit 1 when something is wrong')
    .action(
      online<object, [string]>(async ({ client, output }, backupId) => {
        const before = await client.backup.describe({ backupId });
        await client.backup.verify({ backupId });
        const isDone = ({ progress, verified }: BackupDescription) => progress === undefined && verified?.at !== before.verified?.at;
        show(output, await following(client, output, { backupId, isUnderWay: true, isDone }));
      }),
    );
  backup
    .command('check <file>')
    .description('offline, without any secret: that a copy of a backup is whole and just as its site signed it; exit 1 when not')
    .action(
      offline<object, [string]>(async ({ settings, output }, file) => {
        const trust = readTrust(required(settings, 'trustFile'));
        const { header, manifest, digest } = await damaged(() => verifyBackup(linesOf(resolve(file)), importTrustedKeys(trust.control)));
        const { backupId, epoch, group, site, createdAt } = header;
        output.fields(
          { ...{ backupId, epoch, group, site, createdAt, digest }, manifest },
          {
            ...{ backup: backupId, site, 'made at': createdAt, epoch, 'recovery group': group, digest, chunks: manifest.chunks },
            ...{ keys: manifest.counts.keys, 'ledger leaves': manifest.checkpoint?.size ?? 'no checkpoint' },
          },
        );
      }),
    );
  backup
    .command('tombstones')
    .description(
      'the signed list of keys that are destroyed, suspended or compromised: a restore wants it, and the newest checkpoint beside it',
    )
    .requiredOption('--out <file>')
    .requiredOption('--checkpoint-out <file>')
    .action(
      online<{ out: string; checkpointOut: string }>(async ({ client, options, output }) => {
        // First: the list must not be older than it.
        const { checkpoint, size } = await client.audit.checkpoint();
        const pages: string[] = [];
        let after: string | undefined;
        do {
          const { signed, next } = await client.backup.tombstones(after === undefined ? {} : { after });
          pages.push(signed);
          after = next;
        } while (after !== undefined);
        await writeBytes(options.out, Buffer.from(`${pages.join('\n')}\n`));
        await writeBytes(options.checkpointOut, Buffer.from(checkpoint));
        output.fields({ pages: pages.length, ledgerSize: size }, { pages: pages.length, 'ledger leaves': size, file: options.out });
      }),
    );
}

const following = (client: Client, output: Output, about: Pick<Following, 'backupId' | 'isUnderWay' | 'isDone'>) =>
  followBackup(() => client.backup.describe({ backupId: about.backupId }), {
    ...about,
    tell: (progress) => output.progress(progress && `${progress.what} ${about.backupId}: ${progress.keys} keys`),
  });

function show(output: Output, backup: BackupDescription, mayFail = true): void {
  const { counts, keysInToken = [], tampered = [], verified, failure, uncovered } = backup;
  output.fields(backup, {
    backup: backup.backupId,
    state: stateOf(backup),
    'made at': backup.createdAt,
    by: backup.by,
    file: backup.file,
    bytes: backup.bytes,
    digest: backup.manifestDigest,
    epoch: backup.epoch,
    'readable until': backup.readableUntil,
    keys: counts && `${counts.keys} (${counts.destroyed} destroyed), ${counts.versions} versions, ${counts.keks} KEKs`,
    'not in it':
      keysInToken.length > 0 ? `${counts?.inToken} versions of ${keysInToken.length} keys, whose material stays in its token` : undefined,
    'ledger leaves':
      backup.ledgerSize === undefined ? undefined : `${backup.ledgerSize}${uncovered ? ', which do not cover every change in it' : ''}`,
    verified: verified && `${verified.at}: ${verified.proven} versions proven, ${verified.failures} not`,
    failure: failure && `${failure.code} ${failure.detail}`,
  });
  for (const { keyId, version, detail } of verified?.failed ?? []) output.note(`NOT PROVEN ${keyId}#${version}: ${detail}`);
  for (const keyId of keysInToken.slice(0, 20)) output.note(`not in the backup: ${keyId}, whose token has its own`);
  for (const id of tampered) output.note(`not in the backup: ${id}, whose document somebody else wrote`);
  if (!mayFail) return;
  if (backup.state === 'failed') throw new CommandError('failed', `The backup failed: ${failure?.detail}`);
  if (verified && !verified.ok) throw new Finding('The backup is NOT in order');
}

const stateOf = ({ state, progress, verified }: BackupDescription): string =>
  progress ? progress.what : verified && !verified.ok ? 'DAMAGED' : state;
