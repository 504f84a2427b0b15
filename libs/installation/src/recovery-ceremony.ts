import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { CeremonyTranscript, RecoveryGroup as Group, Handover } from '@claviger/contracts';
import { RecoveryGroup, Trust } from '@claviger/contracts';
import {
  createRecoveryGroup,
  type MadeRecoveryGroup,
  type RecoveryShare,
  reshareRecoveryGroup,
  tokenKeyLabels,
  trustedSigner,
} from '@claviger/hsm';
import { ceremonyFacts } from './ceremony-facts';
import { type TokenPlace, withToken } from './installation-token';
import type { layout } from './layout';
import { canonicalTranscript, readTranscript, signTranscript } from './transcript';
import { transcriptText } from './transcript-text';

type Place = ReturnType<typeof layout>;
export interface GroupRequest {
  threshold: number;
  members: string[];
  now: Date;
}

const begun = '.begun';
const transcriptFiles = { canonical: 'transcript.json', signed: 'transcript.jws', text: 'transcript.txt' } as const;

/** The group in force; undefined when there is none yet. @throws ZodError, SyntaxError for a file that is not one */
export function readRecoveryGroup(place: Place): Group | undefined {
  if (!existsSync(place.recoveryGroupFile)) return undefined;
  return RecoveryGroup.parse(JSON.parse(readFileSync(place.recoveryGroupFile, 'utf8')));
}

/** A new group, made with the randomness of the customer token; nothing of it is kept there, and nothing is written. @throws HsmError */
export const makeRecoveryGroup = (where: TokenPlace, { threshold, members, now }: GroupRequest): Promise<MadeRecoveryGroup> =>
  withToken(where, 'customer', (token) => createRecoveryGroup(token, { threshold, members, createdAt: now.toISOString() }));

/** The group in force with other shares; nothing is written. @throws HsmError */
export const reshareGroup = (
  where: TokenPlace,
  { group, shares, threshold, members, now }: GroupRequest & { group: Group; shares: readonly RecoveryShare[] },
): Promise<MadeRecoveryGroup> =>
  withToken(where, 'customer', (token) => reshareRecoveryGroup(token, group, shares, { threshold, members, createdAt: now.toISOString() }));

/** Where a ceremony writes, until `completeCeremony` gives it its name. */
export function beginFolder(place: Place, startedAt: Date): string {
  const folder = join(place.ceremonies, `${startedAt.toISOString().replaceAll(/[-:.]/g, '')}${begun}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/**
 * After an interruption: what was complete but for its name gets it, and what was not is removed, since nobody relies on it. Gives the folder of the
 * ceremony whose group is in force, where there is one.
 */
export function settleFolders(place: Place): string | undefined {
  if (!existsSync(place.ceremonies)) return undefined;
  const inForce = readRecoveryGroup(place)?.secretCheck;
  for (const name of readdirSync(place.ceremonies).filter((entry) => entry.endsWith(begun))) {
    const folder = join(place.ceremonies, name);
    if (inForce !== undefined && groupIn(folder)?.secretCheck === inForce) renameSync(folder, folder.slice(0, -begun.length));
    else rmSync(folder, { recursive: true, force: true });
  }
  return readdirSync(place.ceremonies)
    .map((name) => join(place.ceremonies, name))
    .find((folder) => groupIn(folder)?.secretCheck === inForce);
}

export interface Completion {
  ceremony: CeremonyTranscript['ceremony'];
  folder: string;
  startedAt: Date;
  now: () => Date;
  participants: CeremonyTranscript['participants'];
  group: Group;
  handovers: { index: number; by: Handover; keyFingerprint?: string }[];
  opened?: { members: string[]; group: Group };
}

/**
 * Puts a group in force once its shares are handed over: the transcript, signed in the control token; the public key in trust.json; then
 * recovery-group.json, with which it is done. Interrupted before that, the next ceremony makes another group, and these shares are of none.
 * @throws HsmError, RecordSignatureError
 */
export async function completeCeremony(where: TokenPlace, done: Completion): Promise<{ folder: string; digest: string; trust: Trust }> {
  const { place } = where;
  const { group, folder } = done;
  const before = Trust.parse(JSON.parse(readFileSync(place.trustFile, 'utf8')));
  // A public key that no group in force ever had is of an interrupted ceremony.
  const known = existsSync(place.recoveryGroupFile) ? before.recovery : {};
  const trust: Trust = { ...before, recovery: { ...known, [group.groupId]: group.publicKeySpki } };
  const transcript: CeremonyTranscript = {
    ...{ format: 'claviger.ceremony/1', ceremony: done.ceremony },
    ...{ startedAt: done.startedAt.toISOString(), completedAt: done.now().toISOString(), participants: done.participants },
    ...(await ceremonyFacts(where)),
    ...{ trust, recoveryGroup: group, handovers: done.handovers },
    ...(done.opened ? { opened: { members: done.opened.members, groupDigest: digestOf(done.opened.group) } } : {}),
  };
  const signed = await withToken(where, 'control', (token) =>
    signTranscript(transcript, trustedSigner(token, tokenKeyLabels.control.signing, trust.control)),
  );
  const { digest } = readTranscript(signed, trust.control);
  writeFileSync(join(folder, transcriptFiles.canonical), canonicalTranscript(transcript));
  writeFileSync(join(folder, transcriptFiles.signed), `${signed}\n`);
  writeFileSync(join(folder, transcriptFiles.text), transcriptText(transcript, digest));
  replace(place.trustFile, trust);
  replace(place.recoveryGroupFile, group);
  const named = folder.slice(0, -begun.length);
  renameSync(folder, named);
  return { folder: named, digest, trust };
}

const digestOf = (group: Group): string => createHash('sha256').update(JSON.stringify(group)).digest('base64url');

/** On the disk before anything else happens: without it the shares open nothing. */
function replace(file: string, content: unknown): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(content, null, 2)}\n`, { flush: true });
  renameSync(`${file}.new`, file);
  const folder = openSync(dirname(file), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

/** Of the transcript in a folder; undefined where none was written. */
function groupIn(folder: string): Group | undefined {
  const file = join(folder, transcriptFiles.canonical);
  if (!existsSync(file)) return undefined;
  try {
    return (JSON.parse(readFileSync(file, 'utf8')) as CeremonyTranscript).recoveryGroup;
  } catch {
    // It was being written.
    return undefined;
  }
}
