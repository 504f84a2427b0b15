import type { RecoveryGroup } from '@claviger/contracts';
import { assertShareOf, HsmError, type RecoveryShare, shareOfText } from '@claviger/hsm';
import { readSecret } from '@claviger/installation';
import { type Desk, openTerminal } from './desk';
import { CommandError } from './exit-codes';
import { decryptShare } from './share-encryption';

/** Shares in files, one a file; `FILE=PRIVATE_KEY_FILE` opens one that was encrypted to a custodian. @throws CommandError, HsmError naming the file, never its content */
export async function readShares(group: RecoveryGroup, given: readonly string[]): Promise<RecoveryShare[]> {
  const shares: RecoveryShare[] = [];
  for (const text of given) {
    const at = text.indexOf('=');
    const [file, keyFile] = at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
    const content = readFile(file);
    shares.push(accepted(group, keyFile === undefined ? content : await decryptShare(content, keyFile), shares, file));
  }
  return shares;
}

/** As many custodians as it takes type theirs in, one after the other. */
export async function askForShares(group: RecoveryGroup, desk: Desk): Promise<RecoveryShare[]> {
  const shares: RecoveryShare[] = [];
  desk.clear();
  desk.say(
    `Recovery group ${group.groupId} opens with ${group.threshold} shares.`,
    `Its custodians: ${group.members.map(({ name, index }) => `${index} ${name}`).join(', ')}`,
  );
  while (shares.length < group.threshold) {
    const text = await desk.ask(`Share number ${shares.length + 1} of ${group.threshold}, all of its groups (others turn away): `);
    desk.clear();
    try {
      const share = accepted(group, text, shares, 'What was typed');
      shares.push(share);
      desk.say(`Share ${share.index} is right (${group.members[share.index - 1]!.name}).`);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      desk.say(error.message);
    }
  }
  return shares;
}

/** The same on this process's terminal. */
export async function typedShares(group: RecoveryGroup): Promise<RecoveryShare[]> {
  const desk = openTerminal('Give each share with --share FILE.');
  try {
    return await askForShares(group, desk);
  } finally {
    desk.close();
  }
}

function accepted(group: RecoveryGroup, text: string, before: readonly RecoveryShare[], from: string): RecoveryShare {
  try {
    const share = shareOfText(text);
    assertShareOf(group, share);
    if (before.some(({ index }) => index === share.index)) throw new CommandError('badInput', `Share ${share.index} was given before`);
    return share;
  } catch (error) {
    if (error instanceof HsmError) throw new CommandError('badInput', `${from}: ${error.what}`);
    throw error;
  }
}

function readFile(file: string): string {
  try {
    return readSecret(file);
  } catch (error) {
    throw new CommandError('badInput', `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
