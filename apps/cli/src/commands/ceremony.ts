import { join, resolve } from 'node:path';
import { readTranscript, transcriptText } from '@claviger/installation';
import { RecordSignatureError } from '@claviger/messaging';
import type { Command } from 'commander';
import { assertTrusted, readTranscriptFile } from '../ceremony-files';
import { proveRecorded } from '../ceremony-ledger';
import { CommandError, Finding } from '../exit-codes';
import { type CeremonyOptions, type HeldCeremony, holdCeremony, reshare } from '../hold-ceremony';
import type { Output } from '../output';
import { rehearseRecovery } from '../rehearsal';
import { collect, offline, online } from '../run';
import { withClient } from '../session';
import { required } from '../settings';
import { readShares, typedShares } from '../share-collection';
import { readGroup, readTrust } from '../site-files';

/** Key ceremonies: offline on the machine that has the tokens, but for `record` and `verify`, which ask the ledger. */
export function ceremonyCommands(program: Command): void {
  const ceremony = program
    .command('ceremony')
    .description('key ceremonies with custodians: split knowledge, a signed transcript, rehearsals');
  const inPlace = (command: Command) =>
    command
      .requiredOption('--folder <folder>', 'where the installation lies')
      .requiredOption('--library <file>', 'PKCS#11 library, such as libsofthsm2.so');
  const withPeople = (command: Command) =>
    inPlace(command)
      .requiredOption('--threshold <m>', 'so many shares are needed to recover; 2 or more')
      .requiredOption(
        '--custodian <name>',
        'who gets a share, or NAME=PUBLIC_KEY_FILE to encrypt it to a key of theirs; 2 to 16 times',
        collect,
      )
      .option('--witness <name>', 'who watches; any number of times', collect)
      .option('--operator <name>', 'who types')
      .option('--shares-to <folder>', 'a file of mode 0600 for each share instead of the screen: a medium that is not kept here');
  withPeople(ceremony.command('hold', { isDefault: true }))
    .description('make tokens and keys where there are none, and the recovery group; what is complete is kept')
    .option('--origin <name>', 'name of the log in its checkpoints', 'claviger.local/ledger')
    .option('--new-group', 'another recovery group, with another key, though one is in force')
    .action(
      offline<CeremonyOptions & { origin: string; newGroup?: boolean }>(async ({ options, output }) => {
        const held = await holdCeremony(options, output);
        if (!held.created) output.note('a recovery group is in force: it is kept (its shares are made anew by: claviger ceremony reshare)');
        tell(output, held);
      }),
    );
  withPeople(ceremony.command('reshare'))
    .description('new shares for the same recovery group: M of the old ones open it, and those are then of no document in force')
    .option('--share <file>', 'an old share, or FILE=PRIVATE_KEY_FILE for an encrypted one; default: they are typed in', collect)
    .action(
      offline<CeremonyOptions & { share?: string[] }>(async ({ options, output }) => {
        tell(output, await reshare(options));
        output.note('let the old custodians destroy their shares now, each before witnesses');
      }),
    );
  ceremony
    .command('rehearse-recovery')
    .description('prove that shares open the recovery group, in a scratch token of which nothing is left; exit 0 only then')
    .requiredOption('--library <file>', 'PKCS#11 library of the scratch token: SoftHSM or kryoptic')
    .option('--folder <folder>', 'where the installation lies')
    .option('--group <file>', 'recovery-group.json, where the installation is not at hand')
    .option('--share <file>', 'a share, or FILE=PRIVATE_KEY_FILE for an encrypted one; default: they are typed in', collect)
    .option('--token <label>', 'use this token instead of a scratch token; nothing is kept in it')
    .option('--pin-file <file>', 'of that token')
    .action(offline<RehearsalOptions>(rehearse));
  ceremony
    .command('record')
    .description('put the digest of a transcript into the ledger; done twice it says nothing new')
    .requiredOption('--transcript <file>', 'transcript.jws')
    .action(
      online<{ transcript: string }>(async ({ client, options, output }) => {
        const { digest, groupId } = await client.audit.recordCeremony({ transcript: readTranscriptFile(options.transcript) });
        output.fields({ digest, groupId }, { digest, 'recovery group': groupId });
      }),
    );
  ceremony
    .command('verify')
    .description('check the signature of a transcript by trust.json, and that the ledger has its digest; exit 1 when not')
    .requiredOption('--transcript <file>', 'transcript.jws')
    .option('--offline', 'the signature only')
    .option('--text', 'print the transcript for people as well')
    .action(offline<VerifyOptions>(verify));
}

function tell(output: Output, { created, group, folder, digest }: HeldCeremony): void {
  const { groupId, threshold, members } = group;
  const custodians = members.map(({ name }) => name);
  output.fields(
    { created, groupId, threshold, custodians, transcript: folder, digest },
    {
      'recovery group': groupId,
      'shares needed': `${threshold} of ${members.length}`,
      custodians: custodians.join(', '),
      transcript: folder === undefined ? undefined : join(folder, 'transcript.txt'),
      digest,
    },
  );
  if (created) output.note('print and sign transcript.txt; once the services run: claviger ceremony record --transcript …/transcript.jws');
}

interface RehearsalOptions extends Partial<Record<'folder' | 'group' | 'token' | 'pinFile', string>> {
  library: string;
  share?: string[];
}

async function rehearse({ options, settings, output }: Parameters<Parameters<typeof offline<RehearsalOptions>>[0]>[0]): Promise<void> {
  const { folder, library, token, pinFile } = options;
  if ((folder === undefined) === (options.group === undefined)) throw new CommandError('usage', 'Give either --folder or --group');
  if ((token === undefined) !== (pinFile === undefined)) throw new CommandError('usage', 'Give --token and --pin-file together');
  const group = readGroup(options.group ?? join(resolve(folder!), 'recovery-group.json'));
  const trustFile = folder === undefined ? settings.trustFile : join(resolve(folder), 'trust.json');
  if (trustFile !== undefined) assertTrusted(group, readTrust(trustFile));
  else output.note('the public key of the group was not compared with trust.json: give --trust-file');
  const shares = options.share ? await readShares(group, options.share) : await typedShares(group);
  try {
    const existing = token !== undefined && pinFile !== undefined ? { existing: { tokenLabel: token, pinFile } } : {};
    const { family, milliseconds } = await rehearseRecovery(group, shares, { libraryPath: library, ...existing });
    const custodians = shares.map(({ index }) => group.members[index - 1]!.name);
    output.fields(
      { opens: true, groupId: group.groupId, custodians, family, milliseconds },
      { 'recovery group': `${group.groupId} opens`, 'with the shares of': custodians.join(', '), in: `${family}, ${milliseconds} ms` },
    );
  } finally {
    for (const { value } of shares) value.fill(0);
  }
}

type VerifyOptions = { transcript: string; offline?: boolean; text?: boolean; json?: boolean };

async function verify({ options, settings, output }: Parameters<Parameters<typeof offline<VerifyOptions>>[0]>[0]): Promise<void> {
  const trust = readTrust(required(settings, 'trustFile'));
  const jws = readTranscriptFile(options.transcript);
  let read: ReturnType<typeof readTranscript>;
  try {
    read = readTranscript(jws, trust.control);
  } catch (error) {
    if (error instanceof RecordSignatureError)
      throw new Finding(`not the transcript that a control key of trust.json signed: ${error.message}`);
    throw error;
  }
  const { transcript, digest } = read;
  if (transcript.trust.ledger.vkey !== trust.ledger.vkey) throw new Finding('the transcript is of an installation with another ledger');
  const answer = options.offline ? undefined : await withClient(settings, (client) => proveRecorded(client, trust, digest));
  const { ceremony, completedAt, recoveryGroup } = transcript;
  const proof = answer !== undefined && !('missing' in answer) ? answer : undefined;
  output.fields(
    { signature: 'valid', digest, ceremony, completedAt, groupId: recoveryGroup.groupId, ledger: proof ?? null, transcript },
    {
      ...{ signature: 'valid', ceremony: `${ceremony}, ${completedAt}`, digest, 'recovery group': recoveryGroup.groupId },
      ledger: proof ? `leaf ${proof.index} of ${proof.size}, recorded ${proof.recordedAt} by ${proof.recordedBy}` : undefined,
    },
  );
  if (options.text && !options.json) output.event(transcript, transcriptText(transcript, digest));
  if (answer !== undefined && !proof) throw new Finding((answer as { missing: string }).missing);
}
