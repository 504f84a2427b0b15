import { join } from 'node:path';
import type { CeremonyTranscript, RecoveryGroup } from '@claviger/contracts';
import { type RecoveryShare, shareDigest, shareOfText, textOfShare } from '@claviger/hsm';
import { readSecret, writeSecret } from '@claviger/installation';
import type { Custodian } from './ceremony-people';
import type { Desk } from './desk';
import { CommandError } from './exit-codes';
import { type CustodianKey, encryptShare } from './share-encryption';

export type HandedOver = CeremonyTranscript['handovers'][number];

export interface HandoverOptions {
  group: RecoveryGroup;
  shares: readonly RecoveryShare[];
  custodians: readonly Custodian[];
  keys: ReadonlyMap<string, CustodianKey>;
  /** Where encrypted shares go, which are no secret. */
  encryptedTo: string;
  /** Where shares in clear go, a file of mode 0600 for each; left out, they are shown on the terminal. */
  sharesTo?: string;
  desk?: Desk;
  /** A whole number from 0 to below this. */
  pick: (below: number) => number;
}

/** Gives each custodian the share that is theirs, in turn. @throws CommandError when a dialogue is broken off */
export async function handOver(options: HandoverOptions): Promise<HandedOver[]> {
  const done: HandedOver[] = [];
  for (const [i, custodian] of options.custodians.entries()) done.push(await handOverOne(options, options.shares[i]!, custodian));
  return done;
}

async function handOverOne(options: HandoverOptions, share: RecoveryShare, { name }: Custodian): Promise<HandedOver> {
  const { index } = share;
  const key = options.keys.get(name);
  // With the beginning of its digest, by which the transcript tells it: a share of before is not in its way.
  const file = `share-${index}-${shareDigest(share).slice(0, 8)}`;
  if (key) {
    writeSecret(join(options.encryptedTo, `${file}.jwe`), await encryptShare(textOfShare(share), key));
    return { index, by: 'encrypted', keyFingerprint: key.fingerprint };
  }
  if (options.sharesTo !== undefined) {
    const path = join(options.sharesTo, `${file}.txt`);
    writeSecret(path, textOfShare(share));
    if (shareDigest(shareOfText(readSecret(path))) !== shareDigest(share))
      throw new CommandError('badInput', `${path} does not hold the share that was written`);
    return { index, by: 'file' };
  }
  if (!options.desk) throw new Error(`share ${index} has nowhere to go`);
  await showShare(options.desk, options, share, name);
  return { index, by: 'screen' };
}

const groupsOfLine = 6;
const groupsAsked = 2;

/** Shown to one pair of eyes, until groups of it come back as they were written down. */
async function showShare(desk: Desk, { group, pick }: HandoverOptions, share: RecoveryShare, name: string): Promise<void> {
  const groups = textOfShare(share).split(' ');
  const lines = [];
  for (let from = 0; from < groups.length; from += groupsOfLine)
    lines.push(`  ${String(from + 1).padStart(2)}   ${groups.slice(from, from + groupsOfLine).join('  ')}`);
  desk.clear();
  await desk.ask(`${name}: come to the screen; everybody else turns away. Then press Enter. `);
  for (let written = false; !written; ) {
    desk.clear();
    desk.say(
      `Share ${share.index} of ${group.members.length}, for ${name}. ${group.threshold} of them open recovery group ${group.groupId}.`,
      ...['', ...lines, ''],
      'Write it down, group by group, on paper that stays with you. It is shown this once and kept nowhere.',
    );
    await desk.ask('When you have it, press Enter. ');
    desk.clear();
    written = await typedBack(desk, groups, pick);
    if (!written) await desk.ask('That is another one than was shown. Press Enter to see the share again. ');
  }
  desk.clear();
  desk.say(`${name} has share ${share.index}.`);
}

/** Never the first group, which is the same for all. */
async function typedBack(desk: Desk, groups: readonly string[], pick: HandoverOptions['pick']): Promise<boolean> {
  for (let asked = 0; asked < groupsAsked; asked++) {
    const number = 1 + pick(groups.length - 1);
    const answer = await desk.ask(`To see that it is written down right, type group ${number + 1}: `);
    if (answer.toLowerCase() !== groups[number]) return false;
  }
  return true;
}
