import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type BackupHeader, Escrow, escrowType, KekMaterial, type RecoveryGroup, type Trust } from '@claviger/contracts';
import { openRecoveryGroup, type RecoveryShare, tokenKeyLabels } from '@claviger/hsm';
import { type TokenPlace, withToken } from '@claviger/installation';
import { importTrustedKeys, verifyRecord } from '@claviger/messaging';
import { CommandError } from './exit-codes';
import { writePrivately } from './files';

export type EpochKey = KekMaterial;
const transport = 'RSA_AES_KEY_WRAP_SHA_256';

export interface Recovery {
  header: BackupHeader;
  /** Of the site that the backup is of. */
  trust: Trust;
  /** Line of the escrow's file. */
  escrow: string;
  group: RecoveryGroup;
}

/** What can be seen to be wrong before anybody gives a share. @throws CommandError */
export function assertFitTogether({ header, trust, escrow, group }: Recovery): Escrow {
  let opened: Escrow;
  try {
    opened = Escrow.parse(verifyRecord(escrowType, escrow.trim(), importTrustedKeys(trust.control)));
  } catch {
    throw new CommandError('badInput', 'The escrow is not signed by the site that the backup is of');
  }
  if (opened.epoch !== header.epoch)
    throw new CommandError('badInput', `The escrow is of epoch ${opened.epoch}, the backup of ${header.epoch}`);
  if (opened.group !== group.groupId)
    throw new CommandError('badInput', `The escrow is for recovery group ${opened.group}, not for ${group.groupId}`);
  if (trust.recovery?.[group.groupId] !== group.publicKeySpki)
    throw new CommandError('badInput', `The trust file does not name the public key of recovery group ${group.groupId}`);
  return opened;
}

/**
 * The key of a backup's epoch under the root of this site's customer token: the group opens with its shares inside that token, and the key goes from under
 * the one to under the other without leaving it. Kept in the folder of the installation, where it opens nothing without the token: repeating the restore
 * needs no shares.
 * @throws HsmError (a share that is not of the group, too few), CommandError
 */
export async function recoverEpochKey(
  { place, libraryPath }: TokenPlace,
  recovery: Recovery,
  shares: () => Promise<RecoveryShare[]>,
): Promise<EpochKey> {
  const escrow = assertFitTogether(recovery);
  const file = `${place.folder}/restore/${escrow.epoch}.json`;
  if (existsSync(file)) return KekMaterial.parse(JSON.parse(readFileSync(file, 'utf8')));
  const given = await shares();
  const { root } = tokenKeyLabels.customer;
  try {
    return await withToken({ place, libraryPath }, 'customer', (token) => {
      const receiver = openRecoveryGroup(token, recovery.group, given);
      try {
        const { wrapped, mechanism, family } = token.unwrapFromSender({
          ...{ blob: Buffer.from(escrow.wrapped, 'base64url'), algorithm: 'AES_256', scheme: transport },
          ...{ receiver, wrappingKey: token.findTokenKey(root, 'secret') },
        });
        const epochKey = { rootLabel: root, mechanism, family, wrapped: wrapped.toString('base64url') };
        mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
        writePrivately(file, `${JSON.stringify(epochKey)}\n`);
        return epochKey;
      } finally {
        token.destroyObject(receiver);
      }
    });
  } finally {
    for (const { value } of given) value.fill(0);
  }
}
