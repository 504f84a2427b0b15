import { linesOf } from '@claviger/backup';
import { ProblemError, type Tombstone, TombstonePage, type Trust, tombstonesType } from '@claviger/contracts';
import { ed25519Verifier, openCheckpoint } from '@claviger/ledger';
import { importTrustedKeys, type RecordSigner, signRecord, verifyRecord } from '@claviger/messaging';
import type { BackupSource } from './backup-source';
import { isDestroyed, type Key } from './key';
import type { Checkpoints } from './newest-checkpoint';

const scannedMost = 1_500;

/** What a restore must not undo. */
export function fateOf(key: Key): Tombstone['is'] | undefined {
  if (isDestroyed(key)) return 'destroyed';
  if (key.versions.some(({ state }) => state === 'compromised')) return 'compromised';
  return key.suspended ? 'suspended' : undefined;
}

/** One page of the list, as the store has it now. */
export async function tombstonePage(
  { source, checkpoints, signer, site }: { source: BackupSource; checkpoints: Checkpoints; signer: RecordSigner; site: string },
  from: string | undefined,
): Promise<{ signed: string; next: string | undefined }> {
  // Before the page is read: what is recorded by then is in it.
  const ledgerSize = (await checkpoints.newest())?.size ?? 0;
  const tombstones: Tombstone[] = [];
  let after = from;
  let scanned = 0;
  do {
    const { keys, tampered, next } = await source.page(after);
    // A document that somebody else wrote: whatever it was, it is not to be used.
    for (const keyId of tampered) tombstones.push({ keyId, is: 'suspended' });
    for (const { key } of keys) {
      const is = fateOf(key);
      if (is) tombstones.push({ keyId: key.keyId, is });
    }
    scanned += keys.length + tampered.length;
    after = next;
  } while (after !== undefined && scanned < scannedMost);
  const page: TombstonePage = {
    ...{ site, at: new Date().toISOString(), ledgerSize, tombstones },
    ...(from === undefined ? {} : { after: from }),
    ...(after === undefined ? {} : { to: after }),
  };
  return { signed: signRecord(tombstonesType, page, signer), next: after };
}

export type Evidence = ReadonlyMap<string, Tombstone['is']>;

/**
 * What became of keys after a backup. The checkpoint must be of the site's ledger and newer than the backup's own, and the list whole and read no earlier
 * than that checkpoint. @throws ProblemError ERR_BACKUP_REFUSED saying what is missing
 */
export async function readEvidence(
  { checkpoint, file }: { checkpoint: string; file: string },
  { ledger, control }: Trust,
  backupLedgerSize: number,
): Promise<Evidence> {
  const size = sizeOf(checkpoint, ledger);
  if (size <= backupLedgerSize) throw refused(`the checkpoint (${size} leaves) is not newer than the backup (${backupLedgerSize})`);
  const trusted = importTrustedKeys(control);
  const evidence = new Map<string, Tombstone['is']>();
  let at: string | undefined;
  let isWhole = false;
  for await (const line of linesOf(file)) {
    const page = pageOf(line, trusted);
    if (page.site !== ledger.origin) throw refused(`the list of destroyed keys is of ${page.site}`);
    if (isWhole || page.after !== at) throw refused('a page of the list of destroyed keys is missing or stands elsewhere');
    if (page.ledgerSize < size)
      throw refused(`the list of destroyed keys was read at ${page.ledgerSize} leaves, before the checkpoint (${size})`);
    for (const { keyId, is } of page.tombstones) evidence.set(keyId, is);
    at = page.to;
    isWhole = page.to === undefined;
  }
  if (!isWhole) throw refused('the list of destroyed keys is not whole');
  return evidence;
}

function sizeOf(checkpoint: string, { origin, vkey }: Trust['ledger']): number {
  try {
    return openCheckpoint(checkpoint, [ed25519Verifier(vkey)], origin).size;
  } catch (error) {
    throw refused('the checkpoint is not one of the ledger of the site that the backup is of', error);
  }
}

function pageOf(line: string, trusted: Parameters<typeof verifyRecord>[2]): TombstonePage {
  try {
    return TombstonePage.parse(verifyRecord(tombstonesType, line, trusted));
  } catch (error) {
    throw refused('the list of destroyed keys is not signed by the site that the backup is of', error);
  }
}

const refused = (why: string, cause?: unknown) => new ProblemError('ERR_BACKUP_REFUSED', `Not restored: ${why}.`, { cause });
