import type { KeyObject } from 'node:crypto';
import { BackupChunk, BackupHeader, BackupManifest, backupLineTypes } from '@claviger/contracts';
import { verifyRecord } from '@claviger/messaging';
import type { z } from 'zod';
import { BackupDamaged } from './backup-error';
import { digestOf } from './write-backup';

export type BackupLine =
  | { kind: 'header'; header: BackupHeader }
  | { kind: 'chunk'; chunk: BackupChunk }
  /** `digest`: of its line. */
  | { kind: 'manifest'; manifest: BackupManifest; digest: string };

/**
 * The lines of a backup, each given only after its signature and its place are verified with the public keys of its site; no secret is needed. What was
 * changed, cut off, put elsewhere or taken from another backup ends it at that line.
 * @throws BackupDamaged
 */
export async function* readBackup(lines: AsyncIterable<string>, trusted: ReadonlyMap<string, KeyObject>): AsyncGenerator<BackupLine> {
  let header: BackupHeader | undefined;
  let finished = false;
  let prev = '';
  let next = 1;
  for await (const line of lines) {
    if (finished) throw new BackupDamaged('there is more after the manifest');
    if (!header) {
      header = verified(BackupHeader, backupLineTypes.header, line, trusted, 0);
      prev = digestOf(line);
      yield { kind: 'header', header };
      continue;
    }
    const isManifest = typeOf(line) === backupLineTypes.manifest;
    const found = isManifest
      ? verified(BackupManifest, backupLineTypes.manifest, line, trusted, next)
      : verified(BackupChunk, backupLineTypes.chunk, line, trusted, next);
    if (found.backupId !== header.backupId) throw new BackupDamaged(`it is of backup ${found.backupId}, not of ${header.backupId}`, next);
    if (found.prev !== prev) throw new BackupDamaged('the line before it is not the one that was there', next);
    prev = digestOf(line);
    if ('chunks' in found) {
      if (found.chunks !== next - 1) throw new BackupDamaged(`the manifest counts ${found.chunks} chunks, and there are ${next - 1}`);
      finished = true;
      yield { kind: 'manifest', manifest: found, digest: prev };
    } else {
      if (found.n !== next) throw new BackupDamaged(`it is number ${found.n}`, next);
      next++;
      yield { kind: 'chunk', chunk: found };
    }
  }
  if (!header) throw new BackupDamaged('it is empty', 0);
  if (!finished) throw new BackupDamaged('the backup ends here, before its manifest', next);
}

export interface VerifiedBackup {
  header: BackupHeader;
  manifest: BackupManifest;
  digest: string;
}

/** Reads all of it and keeps nothing but what it says of itself. @throws BackupDamaged */
export async function verifyBackup(lines: AsyncIterable<string>, trusted: ReadonlyMap<string, KeyObject>): Promise<VerifiedBackup> {
  let header: BackupHeader | undefined;
  let end: Omit<VerifiedBackup, 'header'> | undefined;
  for await (const line of readBackup(lines, trusted)) {
    if (line.kind === 'header') header = line.header;
    if (line.kind === 'manifest') end = { manifest: line.manifest, digest: line.digest };
  }
  // It throws before it ends without one of them.
  return { header: header as BackupHeader, ...(end as Omit<VerifiedBackup, 'header'>) };
}

function verified<S extends z.ZodType>(
  schema: S,
  typ: string,
  line: string,
  trusted: ReadonlyMap<string, KeyObject>,
  n: number,
): z.output<S> {
  try {
    return schema.parse(verifyRecord(typ, line, trusted));
  } catch (cause) {
    const why = cause instanceof Error && cause.name === 'RecordSignatureError' ? cause.message : 'not a line of a backup';
    throw new BackupDamaged(why, n, { cause });
  }
}

/** As the line's own header says; it is verified after. */
function typeOf(line: string): unknown {
  try {
    return (JSON.parse(Buffer.from(line.slice(0, line.indexOf('.')), 'base64url').toString()) as { typ?: unknown } | null)?.typ;
  } catch {
    return undefined;
  }
}
